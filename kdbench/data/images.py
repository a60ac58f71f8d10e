"""Image files into arrays."""

import io
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from kdbench.data.content import Images, Split
from kdbench.errors import DamagedData

SUFFIXES = (".png", ".webp", ".bmp")  # formats without loss
FORMATS = ("PNG", "WEBP", "BMP")


class Picture(NamedTuple):
    """An image file and what its place says about it.

    Attributes:
        split: "train" or "test".
        label: class name.
        where: the file, for errors.
        data: its bytes.
    """

    split: str
    label: str
    where: str
    data: bytes


def decode(picture: Picture, image: tuple[int, int, int]) -> Images:
    """The (H, W, C) uint8 pixels of a picture that must be (C, H, W) = `image`.

    Raises:
        DamagedData: unreadable, of another size, or of a format that loses detail.
    """
    _, height, width = image
    expected = f"a {width} x {height} picture in {', '.join(FORMATS)}"
    advice = "get this file again from its source"
    try:
        with warnings.catch_warnings():  # a picture of absurd size is an error, not a warning
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(picture.data), formats=FORMATS) as opened:
                size = opened.size
                pixels = np.asarray(opened.convert("RGB")) if size == (width, height) else None
    except Exception as error:  # decoders of damaged bytes raise many kinds
        found = f"an unreadable picture of {len(picture.data)} bytes"
        raise DamagedData(picture.where, found, expected, advice) from error
    if pixels is None:
        raise DamagedData(picture.where, f"{size[0]} x {size[1]} pixels", expected, advice)
    return pixels


def assemble(
    pictures: Iterable[Picture], image: tuple[int, int, int]
) -> tuple[dict[str, Split], list[str]]:
    """Decode pictures into splits whose labels follow the alphabet of the class names.

    One thread: decoding holds the interpreter's lock, and two were measured at half the speed.

    Returns:
        Splits by name, images (N, H, W, C) uint8 and labels (N,) int64; and the class names.

    Raises:
        DamagedData: see `decode`.
    """
    found: dict[str, list[tuple[str, Images]]] = {}
    for picture in pictures:
        found.setdefault(picture.split, []).append((picture.label, decode(picture, image)))
    classes = sorted({label for pairs in found.values() for label, _ in pairs})
    number = {name: label for label, name in enumerate(classes)}
    splits = {
        split: (
            np.stack([pixels for _, pixels in pairs]),
            np.array([number[label] for label, _ in pairs], dtype=np.int64),
        )
        for split, pairs in found.items()
    }
    return splits, classes
