"""Errors of the disk in one line, whichever library meets them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from kdbench.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SAID = ("No space left on device", "Disk quota exceeded", "File too large")


@contextmanager
def one_line(where: object) -> Iterator[None]:
    """Turn the operating system's errors inside the block into one line about `where`.

    PyTorch and safetensors report a full disk by errors of their own kinds.

    Raises:
        UserError: the disk is full, or a file cannot be read or written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if disk_is_full(error):
            advice = "free some space; the same command goes on from the last checkpoint"
            raise UserError(f"{where}: no room left on the disk; {advice}") from error
        if isinstance(error, OSError):
            raise UserError(f"{where}: cannot be read or written: {error}") from error
        raise


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised after, says that the disk is full.

    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device")), disk_is_full(OSError())
    (True, False)
    """
    before = error.__cause__ or error.__context__
    return (
        (isinstance(error, OSError) and error.errno in FULL)
        or any(text in str(error) for text in SAID)
        or (before is not None and disk_is_full(before))
    )
