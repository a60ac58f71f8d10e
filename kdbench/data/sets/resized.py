"""A data set's images at another size: encoded as they are, resized by the loader as it decodes.

DistPro searches on CIFAR-100 "resized to 224". Stored at that size the images would need fifty
times the room; encoded at their own they need what they did, and go the way of ImageNet's.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.stored import arrays, shards
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.arrow import Row
from kdbench.data.stored.png import encode_png
from kdbench.errors import DamagedData


def prepare(source: Path, out: Path, declared: Mapping[str, Any]) -> str:
    """Encode a prepared data set without loss, to be served at the declared size.

    Args:
        source: the prepared folder of the data set that `declared["base"]` names.
        out: the prepared folder, see `kdbench.data.stored.shards.write`.
        declared: `name`, `base` and `image`, the size that loaders serve.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the source is another data set, or no longer what was prepared.
        UserError: no data set was prepared there, or the disk is full.
    """
    base, advice = declared["base"], f"kdbench data prepare {declared['base']}"
    data = Prepared.open(source)
    if data.name != base:
        raise DamagedData(source, f"the data set {data.name}", f"the prepared {base}", advice)
    arrays.verify(source)
    return write_encoded(data, out, declared["name"], declared["image"])


def write_encoded(
    data: Prepared, out: Path, name: str, image: list[int], stand_in: str | None = None
) -> str:
    """Write a data set whose pixels are at hand as one of encoded images; returns its fingerprint.

    Args:
        data: gives images, labels, classes and channel constants.
        out: see `kdbench.data.stored.shards.write`.
        name: of the data set that results.
        image: (C, S, S), what loaders serve.
        stand_in: what the images are, where they stand in for those of `name`.
    """
    about = {
        "name": name,
        "image": list(image),
        "mean": list(data.mean),
        "std": list(data.std),
        "stand_in": stand_in,
    }
    splits = {split: _rows(data, split) for split in data.splits}
    return shards.write(out, about, splits, data.classes)


def _rows(data: Prepared, split: str) -> Iterator[Row]:
    """Labels and encoded images, sorted by (label, SHA-256 of the file); a class at a time."""
    images, labels = data.images(split), np.asarray(data.labels(split))
    for label in range(len(data.classes)):
        files = [encode_png(images[place]) for place in np.flatnonzero(labels == label)]
        for file in sorted(files, key=lambda one: sha256(one).digest()):
            yield label, file
