"""Prepared data: a folder of plain arrays, the same bytes whatever the source."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.fingerprint import (
    Images,
    Index,
    Labels,
    Split,
    blocks,
    channel_statistics,
    fingerprint,
    order,
)
from kdbench.data.stored.validation import check_result
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.store.atomic import whole_folder
from kdbench.store.disk import plain_errors

FORMAT = "arrays"  # of meta.json; data prepared before there were others does not say it
OWN_FILES = re.compile(r"meta\.json|\w+_(images|labels)\.npy|\w+-\d{4,}\.arrow")
AGAIN = "prepare the data set again"


@dataclass(frozen=True)
class Prepared:
    """A prepared data set; its arrays stay on disk and are memory-mapped, read-only.

    Attributes:
        name: the data set whose place this takes.
        classes: class names; a label is a position in them.
        fingerprint: hex SHA-256 of the content, see `content.fingerprint`.
        image: (C, H, W).
        mean: per channel, of the training split's pixels scaled to 0..1.
        std: the same; of the population, not of a sample.
        stand_in: what these images really are, where they are not `name`'s own.
        only_training: whether the test split is out of reach.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    image: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stand_in: str | None
    _arrays: Mapping[str, Split] = field(repr=False, compare=False)
    only_training: bool = False

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Open what `write` wrote. Contents are not hashed: `verify` does that.

        Raises:
            UserError: no data set was prepared there.
            DamagedData: its files do not fit together.
        """
        meta = _read_meta(folder)
        try:
            if meta.get("format", FORMAT) != FORMAT:
                raise ValueError(f"format {meta['format']!r}")
            arrays = {s: _read_split(folder, s, n, meta) for s, n in meta["counts"].items()}
            channels, height, width = meta["image"]
            return cls(
                name=meta["name"],
                classes=tuple(meta["classes"]),
                fingerprint=meta["fingerprint"],
                image=(channels, height, width),
                mean=tuple(meta["mean"]),
                std=tuple(meta["std"]),
                stand_in=meta["stand_in"],
                _arrays=arrays,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found = f"{type(error).__name__} ({error})"
            raise DamagedData(folder / "meta.json", found, "a whole description", AGAIN) from error

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits within reach."""
        return tuple(self._arrays)

    def images(self, split: str) -> Images:
        """(N, H, W, C) uint8 of one split, memory-mapped and read-only."""
        return self._split(split)[0]

    def labels(self, split: str) -> Labels:
        """(N,) int64 of one split, memory-mapped and read-only."""
        return self._split(split)[1]

    def training_only(self) -> "Prepared":
        """The same data without a way to its test split, for everything that makes choices."""
        kept = {split: arrays for split, arrays in self._arrays.items() if split != "test"}
        return replace(self, _arrays=kept, only_training=True)

    def _split(self, split: str) -> Split:
        if split in self._arrays:
            return self._arrays[split]
        if self.only_training and split == "test":
            reason = "a search must not see test images, so this view serves nothing else"
            known = " or ".join(map(repr, self.splits))
            raise BadValue(f"{self.name}, split", split, known, reason)
        raise UnknownName("split", split, self.splits, where=self.name)


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
    _check_place(folder)
    height, width, channels = splits["train"][0].shape[1:]
    positions = {split: order(images, labels) for split, (images, labels) in splits.items()}
    mean, std = channel_statistics(splits["train"][0])
    meta = {
        "name": name,
        "format": FORMAT,
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
            _save(draft / f"{split}_images.npy", images, positions[split])
            _save(draft / f"{split}_labels.npy", np.asarray(labels, np.int64), positions[split])
        (draft / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return str(meta["fingerprint"])


def verify(folder: Path) -> str:
    """Compute the fingerprint anew from the arrays.

    Raises:
        DamagedData: it is not the one in `meta.json`.
    """
    data = Prepared.open(folder)
    arrays = {split: (data.images(split), data.labels(split)) for split in data.splits}
    found = fingerprint(data.classes, arrays)
    if found != data.fingerprint:
        raise DamagedData(folder, f"fingerprint {found}", data.fingerprint, AGAIN)
    return found


def _save(path: Path, array: NDArray[Any], positions: Index) -> None:
    """Write `array[positions]` as `np.save` would, a part at a time.

    The error of `np.save` on a full disk does not say that the disk is full.
    """
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        header["fortran_order"] = False
        np.lib.format.write_array_header_1_0(file, header)
        for part in blocks(array, positions):
            file.write(part.data)


def _check_place(folder: Path) -> None:
    """Never replace a folder that holds anything but a prepared data set."""
    with plain_errors(folder):
        foreign = [p.name for p in folder.iterdir()] if folder.exists() else []
    foreign = sorted(name for name in foreign if not OWN_FILES.fullmatch(name))
    if foreign:
        advice = "choose another folder"
        raise BadValue(str(folder), foreign[0], "an empty place or a prepared data set", advice)


def _read_meta(folder: Path) -> Any:
    path = folder / "meta.json"
    if not path.is_file():
        raise UserError(f"{folder}: no prepared data set here (no meta.json); {AGAIN}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedData(path, f"no JSON ({error})", "a JSON object", AGAIN) from error


def _read_split(folder: Path, split: str, count: int, meta: Mapping[str, Any]) -> Split:
    channels, height, width = meta["image"]
    images = _map(folder / f"{split}_images.npy", (count, height, width, channels), np.uint8)
    return images, _map(folder / f"{split}_labels.npy", (count,), np.int64)


def _map(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedData(path, f"no whole array ({error})", f"an array {shape}", AGAIN) from error
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype} {array.shape}"
        raise DamagedData(path, found, f"{np.dtype(dtype)} {shape}", AGAIN)
    return array
