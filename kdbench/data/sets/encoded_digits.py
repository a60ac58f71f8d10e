"""The digits as picture files: at scale smoke they go the way of ImageNet's, decoded on the way."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kdbench.data.sets import digits
from kdbench.data.sets.resized import write_encoded
from kdbench.data.stored.arrays import Prepared

NAME = "encoded_digits"
IMAGE = [3, 8, 8]  # as the digits are: what is tested is the way, not the size


def prepare_stand_in(out: Path, *, name: str, **settings: Any) -> str:
    """Write the digits, encoded, to `out` in the place of the data set `name`.

    Args:
        out: the prepared folder, see `kdbench.data.stored.shards.write`.
        name: the data set whose place they take.
        settings: see `kdbench.data.sets.digits.prepare_stand_in`.

    Returns:
        The fingerprint.

    Raises:
        BadValue: shares that leave nothing to train or to test on.
        UserError: the disk is full.
    """
    with TemporaryDirectory() as folder:
        pixels = Path(folder) / name
        digits.prepare_stand_in(pixels, name=name, **settings)
        return write_encoded(Prepared.open(pixels), out, name, IMAGE, NAME)
