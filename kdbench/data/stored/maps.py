"""Prepared data whose every image has a map of its own size: a mask of classes, or depths.

Depths are whole numbers of `DEPTH_UNIT`, so that a pixel takes two bytes: up to 13.1 m, rounded by
at most 0.1 mm.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.base import StoredData
from kdbench.data.stored.files import check_place, map_array, save_array, write_meta
from kdbench.data.stored.fingerprint import (
    Digests,
    Images,
    Index,
    Labels,
    blocks,
    channel_statistics,
    digests_of,
)
from kdbench.data.stored.validation import check_result
from kdbench.exhibits.tasks import DEPTH, SEGMENTATION
from kdbench.store.atomic import whole_folder

DEPTH_UNIT = 0.0002  # metres
TYPES: Mapping[str, type[np.generic]] = {SEGMENTATION: np.uint8, DEPTH: np.uint16}

Maps: TypeAlias = NDArray[Any]  # (N, H, W): uint8 classes, or uint16 depths


class MappedSplit(NamedTuple):
    """One split.

    Attributes:
        images: (N, H, W, C) uint8.
        maps: (N, H, W), see `TYPES`.
        scenes: (N,) int64; images of one scene, such as frames of a video, have the same number.
    """

    images: Images
    maps: Maps
    scenes: Labels


@dataclass(frozen=True, kw_only=True)
class Mapped(StoredData[MappedSplit]):
    """A prepared data set of images with maps, all of one size.

    Attributes:
        task: what the maps are of.
        parted: whether images of one scene may be on different sides where some are held out.
    """

    FORMAT: ClassVar[str] = "maps"
    task: str
    parted: bool

    def images(self, split: str) -> Images:
        """(N, H, W, C) uint8 of one split, memory-mapped and read-only."""
        return self._part(split).images

    def maps(self, split: str) -> Maps:
        """(N, H, W) of one split, memory-mapped and read-only; see `MappedSplit`."""
        return self._part(split).maps

    def labels(self, split: str) -> Labels:
        """(N,) int64: the scene of each image, which is all that an image as a whole has."""
        return self._part(split).scenes

    def digests(self, split: str) -> Digests:
        """Of the pixels, see `StoredData.digests`; computed."""
        return digests_of(self.images(split))

    def together(self, split: str) -> Digests:
        """See `StoredData.together`: of the scenes, where these stay whole."""
        if self.parted:
            return self.digests(split)
        keys = [sha256(str(scene).encode()).digest() for scene in self.labels(split)]
        return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)

    @classmethod
    def _open_split(
        cls, folder: Path, split: str, count: int, meta: Mapping[str, Any]
    ) -> MappedSplit:
        channels, height, width = meta["image"]
        shape = (count, height, width)
        return MappedSplit(
            map_array(folder / f"{split}_images.npy", (*shape, channels), np.uint8),
            map_array(folder / f"{split}_maps.npy", shape, TYPES[meta["task"]]),
            map_array(folder / f"{split}_labels.npy", (count,), np.int64),
        )

    @classmethod
    def _further(cls, meta: Mapping[str, Any]) -> dict[str, Any]:
        return {"task": meta["task"], "parted": meta["parted"]}


def write(
    folder: Path,
    name: str,
    splits: Mapping[str, MappedSplit],
    classes: Sequence[str],
    *,
    task: str,
    parted: bool = True,
    stand_in: str | None = None,
    expected: Mapping[str, Any] | None = None,
) -> str:
    """Sort, measure and write a data set; the folder appears whole or not at all.

    Args:
        folder: where; a prepared data set that is already there is replaced.
        name: the data set's name.
        splits: by name (one is "train").
        classes: class names; of depths one name, that of the quantity.
        task: what the maps are of.
        parted: see `Mapped`.
        stand_in: what the images are, where they stand in for those of `name`.
        expected: a declaration, see `kdbench.data.stored.arrays.write`.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the result is not what was expected.
        UserError: the disk is full, or `folder` holds files that are not a data set's.
    """
    check_place(folder)
    height, width, channels = splits["train"].images.shape[1:]
    positions = {split: _order(part) for split, part in splits.items()}
    mean, std = channel_statistics(splits["train"].images)
    meta = {
        "name": name,
        "format": Mapped.FORMAT,
        "task": task,
        "parted": parted,
        "stand_in": stand_in,
        "fingerprint": fingerprint(classes, splits, positions),
        "image": [channels, height, width],
        "counts": {split: len(part.scenes) for split, part in sorted(splits.items())},
        "mean": mean,
        "std": std,
        "classes": list(classes),
    }
    check_result(meta, expected or {})
    with whole_folder(folder) as draft:
        for split, part in splits.items():
            save_array(draft / f"{split}_images.npy", part.images, positions[split])
            save_array(draft / f"{split}_maps.npy", part.maps, positions[split])
            save_array(draft / f"{split}_labels.npy", part.scenes, positions[split])
        write_meta(draft, meta)
    return str(meta["fingerprint"])


def fingerprint(
    classes: Sequence[str],
    splits: Mapping[str, MappedSplit],
    positions: Mapping[str, Index] | None = None,
) -> str:
    """Hex SHA-256 of class names and, per split in order of name, shape, scenes, maps and pixels.

    Args:
        classes: class names.
        splits: what there is.
        positions: by split, their order where they do not lie in it.
    """
    digest = sha256(json.dumps(list(classes)).encode())
    for split, part in sorted(splits.items()):
        own = None if positions is None else positions[split]
        digest.update(json.dumps([split, list(part.images.shape)]).encode())
        for array in (part.scenes, part.maps, part.images):
            for block in blocks(array, own):
                digest.update(block.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def verify(folder: Path) -> str:
    """Compute the fingerprint anew from the arrays.

    Raises:
        DamagedData: it is not the one in `meta.json`.
    """
    data = Mapped.open(folder)
    parts = {split: data._part(split) for split in data.splits}
    return data.compare_fingerprint(fingerprint(data.classes, parts))


def take(data: Mapped, target: Path, chosen: Mapping[str, Index]) -> None:
    """Write some images of a data set to another folder; all of the splits not named."""
    splits = {}
    for split in data.splits:
        part = data._part(split)
        index = chosen.get(split)
        if index is not None:
            part = MappedSplit(part.images[index], part.maps[index], part.scenes[index])
        splits[split] = part
    write(target, data.name, splits, data.classes, task=data.task, parted=data.parted)


def _order(part: MappedSplit) -> Index:
    """Positions sorted by (scene, SHA-256 of the pixels, of the map): no source influences them."""
    keys = [
        (int(scene), sha256(image.tobytes()).digest(), sha256(one.tobytes()).digest())
        for image, one, scene in zip(*part, strict=True)
    ]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
