"""Pictures into arrays."""

import io
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.stored.fingerprint import Images
from kdbench.data.stored.rgb import rgb_pixels
from kdbench.errors import DamagedData

LOSSLESS = ("PNG", "WEBP", "BMP")
SUFFIXES = {"JPEG": (".jpeg", ".jpg")}  # of the other formats: their names


class Picture(NamedTuple):
    """A picture and what its place says about it.

    Attributes:
        split: "train" or "test", say.
        label: class name.
        where: its file, for errors.
        data: the file's bytes, or (H, W, C) uint8 pixels where they come without a file.
    """

    split: str
    label: str
    where: str
    data: bytes | Images


def formats(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """Formats in which a data set's pictures may come: without loss, and its published ones."""
    return (*LOSSLESS, *declared.get("formats", ()))


def suffixes(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """Endings of the file names of those formats."""
    endings = (SUFFIXES.get(name, (f".{name.lower()}",)) for name in formats(declared))
    return tuple(suffix for of_format in endings for suffix in of_format)


def decode(picture: Picture, declared: Mapping[str, Any]) -> Images:
    """The (H, W, 3) uint8 pixels of a picture; grey ones get three equal channels.

    Sixteen bits become eight, see `rgb_pixels`.

    Args:
        picture: bytes of a file, or pixels.
        declared: the declaration: `image` (C, H, W) and, beside those without loss, `formats`.

    Raises:
        DamagedData: unreadable, of another size, or of another format.
    """
    if not isinstance(picture.data, bytes):
        return picture.data
    (_, height, width), allowed = declared["image"], formats(declared)
    expected = f"a {width} x {height} picture in {', '.join(allowed)}"
    try:
        with warnings.catch_warnings():  # a picture of absurd size is an error, not a warning
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(picture.data), formats=allowed) as opened:
                size = opened.size
                pixels = rgb_pixels(opened) if size == (width, height) else None
    except Exception as error:  # decoders of damaged bytes raise many kinds
        actual = f"an unreadable picture of {len(picture.data)} bytes"
        raise DamagedData(picture.where, actual, expected, AGAIN) from error
    if pixels is None:
        raise DamagedData(picture.where, f"{size[0]} x {size[1]} pixels", expected, AGAIN)
    return pixels


class DecodedSplit(NamedTuple):
    """The pictures of a split so far: `labels` has the class name of every one that came.

    Of more pictures than declared the further ones are only counted, to be named as too many.
    """

    images: Images
    labels: list[str]


def decode_splits(
    pictures: Iterable[Picture], declared: Mapping[str, Any]
) -> dict[str, DecodedSplit]:
    """Decode pictures into one array per split, made once in its full size.

    One thread: decoding holds the interpreter's lock, and two were measured at half the speed.

    Args:
        pictures: in any order.
        declared: the declaration: `splits` (images in each), `image` and `formats`.

    Raises:
        DamagedData: see `decode`.
    """
    channels, height, width = declared["image"]
    decoded = {
        split: DecodedSplit(np.empty((count, height, width, channels), np.uint8), [])
        for split, count in declared["splits"].items()
    }
    for picture in pictures:
        images, labels = decoded[picture.split]
        if len(labels) < len(images):
            images[len(labels)] = decode(picture, declared)
        labels.append(picture.label)
    return decoded
