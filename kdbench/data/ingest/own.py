"""A data set of one's own, from any folder of pictures: what is there, how it is prepared."""

import io
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kdbench.data.ingest.decode import Picture, decode_splits
from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.ingest.own_pictures import own_pictures
from kdbench.data.stored.arrays import write
from kdbench.data.stored.fingerprint import Images
from kdbench.data.stored.rgb import rgb_pixels
from kdbench.data.stored.validation import check_classes
from kdbench.errors import DamagedData

FORMATS = ("PNG", "WEBP", "BMP", "JPEG")


@dataclass(frozen=True)
class Survey:
    """What a folder of pictures holds.

    Attributes:
        splits: images in each.
        classes: names, in the order of the alphabet, which is that of the labels.
        sizes: how many pictures have each (width, height).
    """

    splits: Mapping[str, int]
    classes: tuple[str, ...]
    sizes: Mapping[tuple[int, int], int]


def survey(source: Path, declared: Mapping[str, Any]) -> Survey:
    """Count the pictures of a source; their headers are read, not their pixels.

    Args, Raises: see `own_pictures.own_pictures`, and `DamagedData` for what is no picture.
    """
    splits: Counter[str] = Counter()
    sizes: Counter[tuple[int, int]] = Counter()
    classes = set()
    for picture in own_pictures(source, declared):
        splits[picture.split] += 1
        classes.add(picture.label)
        with _opened(picture) as image:
            sizes[image.size] += 1
    return Survey(dict(splits), tuple(sorted(classes)), dict(sizes))


def prepare(source: Path, out: Path, declared: Mapping[str, Any]) -> str:
    """Read a user's pictures from `source` and write them prepared to `out`.

    A picture of another size than declared is turned upright as its camera says, cropped in the
    middle to the declared shape, and resized (bicubic, by Pillow). One of that size stays as it is
    to the bit. All images are in memory once.

    Args:
        source: see `own_pictures.own_pictures`.
        out: the prepared folder, see `arrays.write`.
        declared: `name`, `classes`, `image`, `splits`, and see `own_pictures.own_pictures`.

    Returns:
        The fingerprint.

    Raises:
        UserError, DamagedData, BadValue: see `own_pictures.own_pictures`, or the pictures are not
            as declared.
    """
    _, height, width = declared["image"]
    fitted = (
        picture._replace(data=fitted_pixels(picture, width, height))
        for picture in own_pictures(source, declared)
    )
    known = (picture for picture in fitted if picture.split in declared["splits"])
    decoded = decode_splits(known, declared)
    classes = check_classes(source, {s: labels for s, (_, labels) in decoded.items()}, declared)
    number = {name: label for label, name in enumerate(classes)}
    splits = {
        split: (images, np.array([number[name] for name in labels], dtype=np.int64))
        for split, (images, labels) in decoded.items()
    }
    return write(out, declared["name"], splits, classes, expected=declared)


def fitted_pixels(picture: Picture, width: int, height: int) -> Images:
    """(height, width, 3) uint8 pixels of a picture of any size.

    Raises:
        DamagedData: it cannot be read.
    """
    with _opened(picture) as image:
        try:
            pixels = rgb_pixels(ImageOps.exif_transpose(image))
        except Exception as error:  # decoders of damaged bytes raise many kinds
            raise _unreadable(picture) from error
    if pixels.shape[:2] == (height, width):
        return pixels
    whole = Image.fromarray(pixels)
    return np.array(ImageOps.fit(whole, (width, height), Image.Resampling.BICUBIC))


def _opened(picture: Picture) -> Image.Image:
    try:
        with warnings.catch_warnings():  # a picture of absurd size is an error, not a warning
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(bytes(picture.data)), formats=FORMATS)
    except Exception as error:
        raise _unreadable(picture) from error


def _unreadable(picture: Picture) -> DamagedData:
    actual = f"an unreadable picture of {len(picture.data)} bytes"
    return DamagedData(picture.where, actual, f"a picture in {', '.join(FORMATS)}", AGAIN)
