"""Prepared data: a folder of plain arrays, the same bytes whatever the source."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.content import (
    Images,
    Labels,
    Split,
    channel_statistics,
    fingerprint,
    in_order,
)
from kdbench.data.disk import plain_errors, whole_folder
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError

OWN_FILES = re.compile(r"meta\.json|\w+_(images|labels)\.npy")
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
        return replace(self, _arrays={"train": self._split("train")}, only_training=True)

    def _split(self, split: str) -> Split:
        if split in self._arrays:
            return self._arrays[split]
        if self.only_training:
            reason = "a search must not see test images, so this view serves nothing else"
            raise BadValue(f"{self.name}, split", split, "'train'", reason)
        raise UnknownName("split", split, self.splits, where=self.name)


def write(
    folder: Path,
    name: str,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    *,
    stand_in: str | None = None,
    expected: str | None = None,
) -> str:
    """Sort, measure and write a data set; the folder appears whole or not at all.

    Args:
        folder: where; a prepared data set that is already there is replaced.
        name: the data set's name.
        splits: by name (one is "train"), images (N, H, W, C) uint8 and labels (N,) int64.
        classes: class names; a label is a position in them.
        stand_in: what the images are, where they stand in for those of `name`.
        expected: fingerprint that the result must have.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the result has another fingerprint than expected.
        UserError: the disk is full, or `folder` holds files that are not a data set's.
    """
    _check_place(folder)
    ordered = {split: in_order(*arrays) for split, arrays in sorted(splits.items())}
    digest = fingerprint(classes, ordered)
    if expected is not None and digest != expected:
        advice = "some image, label or class name is not the published one; use another source"
        raise DamagedData(name, f"fingerprint {digest}", expected, advice)
    mean, std = channel_statistics(ordered["train"][0])
    height, width, channels = ordered["train"][0].shape[1:]
    meta = {
        "name": name,
        "stand_in": stand_in,
        "fingerprint": digest,
        "image": [channels, height, width],
        "counts": {split: len(labels) for split, (_, labels) in ordered.items()},
        "mean": mean,
        "std": std,
        "classes": list(classes),
    }
    with whole_folder(folder) as draft:
        for split, (images, labels) in ordered.items():
            _save(draft / f"{split}_images.npy", images)
            _save(draft / f"{split}_labels.npy", labels)
        (draft / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return digest


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


def _save(path: Path, array: NDArray[Any]) -> None:
    """Like `np.save`, whose error on a full disk does not say that the disk is full."""
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(array).data)


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
