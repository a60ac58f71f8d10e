"""Archives that nobody has to trust: members are read in memory, never unpacked to disk."""

import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kdbench.data.disk import plain_errors
from kdbench.errors import DamagedData

BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # an encrypted member of a zip
    NotImplementedError,  # a compression that zipfile does not know
    UnicodeDecodeError,
)
LARGEST = 8 << 30  # bytes that one archive may unpack to
AGAIN = "get the archive again from its source"


class Member(NamedTuple):
    """One regular file of an archive: its path inside and its bytes."""

    name: str
    data: bytes


def members(path: Path, largest: int = LARGEST) -> Iterator[Member]:
    """Every regular file of a tar (compressed or not) or zip archive, in the archive's order.

    Only an iterator read to its end says that the archive is whole.

    Args:
        path: the archive.
        largest: bytes that all members together may have.

    Raises:
        DamagedData: truncated or not an archive; or a member that is a link or a device, that
            has an absolute path or one that leads outside, or that makes the whole too large.
        UserError: the file cannot be read.
    """
    with plain_errors(path):
        try:
            read = _zip_members if _is_zip(path) else _tar_members
            yield from read(path, largest)
        except BROKEN as error:
            reason = str(error).partition("\n")[0].rstrip(":")
            found, expected = f"a broken archive ({reason})", "a whole tar or zip archive"
            raise DamagedData(path, found, expected, AGAIN) from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _zip_members(path: Path, largest: int) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_total(path, sum(info.file_size for info in infos), largest)
        for info in infos:
            _check_name(path, info.filename)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                _refuse(path, info.filename, "a link or a device")
            if not info.is_dir():
                yield Member(info.filename, archive.read(info))


def _tar_members(path: Path, largest: int) -> Iterator[Member]:
    total = 0
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            _check_name(path, info.name)
            if not (info.isreg() or info.isdir()):
                _refuse(path, info.name, "a link or a device")
            total += info.size
            _check_total(path, total, largest)
            file = archive.extractfile(info)
            if file is not None:
                yield Member(info.name, file.read())


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        _refuse(path, name, "a path that leads out of the archive")


def _check_total(path: Path, total: int, largest: int) -> None:
    if total > largest:
        raise DamagedData(path, f"{total} bytes inside", f"at most {largest}", AGAIN)


def _refuse(path: Path, name: str, found: str) -> None:
    expected = "plain files with relative paths"
    raise DamagedData(f"{path}, member {name!r}", found, expected, f"do not trust it; {AGAIN}")
