"""The checksum at the end of a file that PyTorch wrote: `torch.load` does not see a flipped bit."""

import hashlib
from pathlib import Path

from kdbench.store.disk import checksum_of

MARK = b"kdbench-sha256:"
TRAILER = len(MARK) + 64  # bytes; a zip's reader passes over what follows the archive
BLOCK = 1 << 20


def append_checksum(file: Path) -> None:
    """Add the SHA-256 of a file's content to its end."""
    checksum = checksum_of(file)
    with file.open("ab") as stream:
        stream.write(MARK + checksum.encode())


def is_intact(file: Path) -> bool | None:
    """Whether a file's content has the checksum at its end; None where it has none.

    Files of older versions have none, and those whose end is cut off.
    """
    content, digest = file.stat().st_size - TRAILER, hashlib.sha256()
    if content < 0:
        return None
    with file.open("rb") as stream:
        while block := stream.read(min(BLOCK, content - stream.tell())):
            digest.update(block)
        trailer = stream.read()
    if not trailer.startswith(MARK):
        return None
    return trailer == MARK + digest.hexdigest().encode()
