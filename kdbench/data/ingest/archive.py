"""Archives that nobody has to trust: members are read in memory, never unpacked to disk."""

import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Self, TypeAlias

from kdbench.errors import DamagedData
from kdbench.store.disk import plain_errors

BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # a zip's member is encrypted, or compressed in a way that zipfile does not know
    UnicodeDecodeError,
)
LARGEST = 8 << 30  # bytes that one archive may unpack to
LARGEST_MEMBER = 1 << 28  # bytes of one member, which is read whole; CIFAR-100's have 1.6e8
AGAIN = "get the archive again from its source"
NameFilter: TypeAlias = Callable[[str], bool]
Entries: TypeAlias = Iterator[tuple[str, int, Callable[[], bytes]]]  # name, bytes, how to read them


class Member(NamedTuple):
    """One regular file of an archive: its path inside and its bytes."""

    name: str
    data: bytes


def members(
    path: Path,
    wanted: NameFilter = lambda name: True,
    *,
    largest: int = LARGEST,
    largest_member: int = LARGEST_MEMBER,
) -> Iterator[Member]:
    """The regular files of a tar (compressed or not) or zip archive, in the archive's order.

    Only an iterator read to its end says that the archive is whole.

    Args:
        path: the archive.
        wanted: says by its name whether a member's bytes are read; all names are checked.
        largest: bytes that all members together may have.
        largest_member: bytes that a wanted one may have.

    Raises:
        DamagedData: truncated or not an archive; or a member that is a link or a device, that
            has an absolute path or one that leads outside, or that is too large or makes the
            whole too large.
        UserError: the file cannot be read.
    """
    with plain_errors(path):
        try:
            read = _zip_members if _is_zip(path) else _tar_members
            for name, size, load in read(path, largest):
                if wanted(name):
                    _check_size(f"{path}, member {name!r}", size, largest_member)
                    yield Member(name, load())
        except BROKEN as error:
            expected = "a whole tar or zip archive"
            raise DamagedData(path, _broken(error), expected, AGAIN) from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _zip_members(path: Path, largest: int) -> Entries:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_size(path, sum(info.file_size for info in infos), largest)
        for info in infos:
            _check_name(path, info.filename)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                _refuse(path, info.filename, "a link or a device")
            if not info.is_dir():
                yield info.filename, info.file_size, partial(archive.read, info)


class _Header(tarfile.TarInfo):
    """A member's header; in a tar that is whole, every block where one should be is one.

    `tarfile` takes whatever else stands there, behind the first member, for the end.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header, or the block of zeros that is the end."""
        if len(buf) == tarfile.BLOCKSIZE and not any(buf):
            return super().frombuf(buf, encoding, errors)  # says that this is the end
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header where one should be: {error}") from error


def _tar_members(path: Path, largest: int) -> Entries:
    total = 0
    with tarfile.open(path, "r:*", tarinfo=_Header) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else all stay in memory
            _check_name(path, info.name)
            if not (info.isreg() or info.isdir()):
                unpack = ", or unpack it yourself and give the folder" if info.islnk() else ""
                _refuse(path, info.name, "a link or a device", unpack)
            total += info.size
            _check_size(path, total, largest)
            file = archive.extractfile(info)
            if file is not None:
                yield info.name, info.size, file.read
        while rest := archive.fileobj.read(1 << 20):  # what compresses it checks itself at its end
            total += len(rest)
            _check_size(path, total, largest)


# Not tarfile's own data filter: it guards a folder that members are unpacked to, and here none is.
# It is weaker, too. It takes the "/" off an absolute path and lets the member pass; it passes links
# to other members, sparse files, backslashes and drive letters, "a/../b", and any size; zips it
# does not know. What it refuses ("..", devices, links that lead out) is refused here as well.
def _check_name(path: Path, name: str) -> None:
    """Refuse a path that could lead out of a folder on any system."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        _refuse(path, name, "a path that leads out of the archive")


def _check_size(where: object, size: int, largest: int) -> None:
    if size > largest:
        raise DamagedData(where, f"{size} bytes inside", f"at most {largest}", AGAIN)


def _refuse(path: Path, name: str, what: str, way_out: str = "") -> None:
    where, expected = f"{path}, member {name!r}", "plain files with relative paths"
    raise DamagedData(where, what, expected, f"do not trust it; {AGAIN}{way_out}")


def _broken(error: BaseException) -> str:
    """What is wrong with an archive, in one line."""
    reason = str(error).partition("\n")[0].rstrip(":")
    return f"a broken archive ({reason})"


class Place(NamedTuple):
    """Where a regular file of an uncompressed tar lies in the archive's own bytes."""

    name: str
    offset: int
    size: int


def places(path: Path, within: Place | None = None) -> Iterator[Place]:
    """Where the regular files of an uncompressed tar lie, or of a tar that lies within it.

    Their bytes are not read and need no room. Rules are as for `members`; no limit of size is
    needed, because nothing is unpacked and no file may reach beyond the archive's end.

    Raises:
        DamagedData: see `members`; also a compressed archive and a sparse file.
        UserError: the file cannot be read.
    """
    where = f"{path}, member {within.name!r}" if within else str(path)
    with plain_errors(path), path.open("rb") as file:
        start, size = (within.offset, within.size) if within else (0, path.stat().st_size)
        try:
            yield from _places(path, file, start, start + size)
        except BROKEN as error:
            expected = "a whole, uncompressed tar"
            raise DamagedData(where, _broken(error), expected, AGAIN) from error


def _places(path: Path, file: BinaryIO, start: int, end: int) -> Iterator[Place]:
    file.seek(start)
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  # offsets are the file's own
    reached = start
    while reached < end and (info := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]
        _check_name(path, info.name)
        if not (info.isreg() or info.isdir()) or info.issparse():
            _refuse(path, info.name, "a link, a device or a sparse file")
        blocks = -(-info.size // tarfile.BLOCKSIZE)
        reached = info.offset_data + blocks * tarfile.BLOCKSIZE
        if info.offset_data + info.size > end:
            raise tarfile.ReadError("unexpected end of data")
        if info.isreg():
            yield Place(info.name, info.offset_data, info.size)
    file.seek(reached)
    if any(file.read(max(0, min(tarfile.BLOCKSIZE, end - reached)))):  # a tar ends with zeros
        raise tarfile.ReadError("no header where one should be")
