"""Prepared data as plain arrays of pixels: the same bytes whatever the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kdbench.data.stored.base import StoredData
from kdbench.data.stored.files import check_place, map_array, save_array, write_meta
from kdbench.data.stored.fingerprint import (
    Digests,
    Images,
    Labels,
    Split,
    channel_statistics,
    digests_of,
    fingerprint,
    order,
)
from kdbench.data.stored.validation import check_result
from kdbench.store.atomic import whole_folder


@dataclass(frozen=True, kw_only=True)
class Prepared(StoredData[Split]):
    """A prepared data set whose images are one array per split, all of one size.

    `mean` and `std` are those of the training split's pixels; `std` is the population's.
    """

    FORMAT: ClassVar[str] = "arrays"

    def images(self, split: str) -> Images:
        """(N, H, W, C) uint8 of one split, memory-mapped and read-only."""
        return self._part(split)[0]

    def labels(self, split: str) -> Labels:
        """(N,) int64 of one split, memory-mapped and read-only."""
        return self._part(split)[1]

    def digests(self, split: str) -> Digests:
        """Of the pixels, see `StoredData.digests`; computed."""
        return digests_of(self.images(split))

    @classmethod
    def _open_split(cls, folder: Path, split: str, count: int, meta: Mapping[str, Any]) -> Split:
        channels, height, width = meta["image"]
        shape = (count, height, width, channels)
        images = map_array(folder / f"{split}_images.npy", shape, np.uint8)
        return images, map_array(folder / f"{split}_labels.npy", (count,), np.int64)


def write(
    folder: Path,
    name: str,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    *,
    stand_in: str | None = None,
    expected: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> str:
    """Sort, measure and write a data set; the folder appears whole or not at all.

    The images are sorted on their way to the disk: no second copy of them is made in memory.

    Args:
        folder: where; a prepared data set that is already there is replaced.
        name: the data set's name.
        splits: by name (one is "train"), images (N, H, W, C) uint8 and labels (N,) int64.
        classes: class names; a label is a position in them.
        stand_in: what the images are, where they stand in for those of `name`.
        expected: a declaration; the result must have its fingerprint, mean and deviation, where
            it has them.
        details: more keys of `meta.json`.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the result is not what was expected.
        UserError: the disk is full, or `folder` holds files that are not a data set's.
    """
    check_place(folder)
    height, width, channels = splits["train"][0].shape[1:]
    positions = {split: order(images, labels) for split, (images, labels) in splits.items()}
    mean, std = channel_statistics(splits["train"][0])
    meta = {
        "name": name,
        "format": Prepared.FORMAT,
        "stand_in": stand_in,
        "fingerprint": fingerprint(classes, splits, positions),
        "image": [channels, height, width],
        "counts": {split: len(labels) for split, (_, labels) in sorted(splits.items())},
        "mean": mean,
        "std": std,
        "classes": list(classes),
        **(details or {}),
    }
    check_result(meta, expected or {})
    with whole_folder(folder) as draft:
        for split, (images, labels) in splits.items():
            save_array(draft / f"{split}_images.npy", images, positions[split])
            numbers = np.asarray(labels, np.int64)
            save_array(draft / f"{split}_labels.npy", numbers, positions[split])
        write_meta(draft, meta)
    return str(meta["fingerprint"])


def verify(folder: Path) -> str:
    """Compute the fingerprint anew from the arrays.

    Raises:
        DamagedData: it is not the one in `meta.json`.
    """
    data = Prepared.open(folder)
    arrays = {split: (data.images(split), data.labels(split)) for split in data.splits}
    return data.compare_fingerprint(fingerprint(data.classes, arrays))
