"""Files on the disk: errors in one line, whichever library meets them, and checksums."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from kdbench.errors import BadValue, UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
LARGEST_TEXT = 250_000  # bytes; the shipped files have a few thousand
RESUME = "free some space; the same command goes on from the last checkpoint"


@contextmanager
def plain_errors(
    where: object, advice: str = "free some space or choose another folder"
) -> Iterator[None]:
    """Turn errors of the disk inside the block into one line about `where`.

    PyTorch and safetensors report a full disk by errors of their own kinds.

    Args:
        where: the file, folder or run that the line begins with.
        advice: what to do where the disk is full.

    Raises:
        UserError: the disk is full, or a file cannot be read or written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if disk_is_full(error):
            raise UserError(f"{where}: no room left on the disk; {advice}") from error
        if isinstance(error, OSError):
            reason = _reason(error, where)
            raise UserError(f"{where}: cannot be read or written: {reason}") from error
        raise


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """The text of a small file that people write.

    Args:
        path: a regular file.
        most: bytes that it may have.

    Raises:
        BadValue: it is too large, or not in UTF-8.
        UserError: it is no file, or cannot be read.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not a file; remove it or put a text file there")
        size = path.stat().st_size
        if size > most:
            raise BadValue(str(path), f"{size} bytes", f"at most {most}", "is it the right file?")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        advice = "see whether you may read it"
        raise UserError(f"{path}: cannot be read: {_reason(error, path)}; {advice}") from error
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at place {error.start}"
        raise BadValue(str(path), byte, "UTF-8 text", "save the file in UTF-8") from None


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised after, says that the disk is full.

    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device")), disk_is_full(OSError())
    (True, False)
    """
    before = error.__cause__ or error.__context__
    return (
        (isinstance(error, OSError) and error.errno in FULL)
        or any(text in str(error) for text in FULL_TEXTS)
        or (before is not None and disk_is_full(before))
    )


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes.

    Args:
        path: a file.
        algorithm: "sha256", or "md5" where a publisher gives nothing better.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return digest.hexdigest()


def _reason(error: OSError, where: object) -> str:
    """What the system says, and about which file unless `where` is that file."""
    if error.strerror is None:
        return str(error)
    if error.filename is None or str(error.filename) == str(where):
        return error.strerror
    return f"{error.filename}: {error.strerror}"
