"""Street scenes: pictures beside pictures of their classes, paired by name."""

import io
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdbench.data.ingest.decode import Picture, decode
from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.ingest.tree import ArchiveTree, File, FolderTree, Tree
from kdbench.data.stored.maps import MappedSplit
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData, UserError
from kdbench.store.disk import plain_errors

LARGEST = 1 << 35  # bytes that an archive may unpack to; Cityscapes' two have 12 GB
Mask = NDArray[np.uint8]  # (H, W)


class PairedFile(NamedTuple):
    """What a file's path says of it.

    Attributes:
        split: "train", say.
        key: the same for an image and its mask, and for no others.
        mask: whether it is the mask.
        scene: images of one scene may be almost twins.
    """

    split: str
    key: str
    mask: bool
    scene: str


Place = Callable[[str], PairedFile | None]


def trees_of(source: Path, names: Sequence[str], largest: int = LARGEST) -> list[Tree]:
    """The files of a source: an archive, a folder, or a folder of the named archives.

    Args:
        source: where they are.
        names: of archives.
        largest: bytes that an archive may unpack to; more than those of small pictures may.

    Raises:
        UserError: there is nothing of that name, or none of the archives in it.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_file():
        return [ArchiveTree(source, largest)]
    archives = [source / name for name in names if (source / name).is_file()]
    return [ArchiveTree(path, largest) for path in archives] or [FolderTree(source)]


def read_splits(
    trees: Sequence[Tree],
    shapes: Sequence[str],
    place: Place,
    declared: Mapping[str, Any],
    to_classes: Mask,
    scratch: Path,
) -> dict[str, MappedSplit]:
    """Read all pairs into one array of images and one of masks per split.

    Args:
        trees: the files.
        shapes: paths of images and masks, see `Tree.read`.
        place: what a path says; None for a file that is of no concern.
        declared: the declaration: `image`, `splits` (pairs in each) and `formats`.
        to_classes: (256,) the class of every value of a mask's picture, or 255.
        scratch: a folder for the arrays, which may be larger than memory.

    Raises:
        DamagedData: a picture that cannot be read or has another size, an image without a mask or
            a mask without an image, more or fewer pairs than declared.
    """
    _, height, width = declared["image"]
    builders = {
        split: _Builder.of(split, count, (height, width), scratch)
        for split, count in declared["splits"].items()
    }
    for tree in trees:
        for file in tree.read(*shapes, suffixes=(".png", ".jpg", ".jpeg")):
            about = place(file.name)
            if about is None or about.split not in builders:
                continue
            if about.mask:
                builders[about.split].add_mask(about, file, to_classes)
            else:
                builders[about.split].add_image(about, file, declared)
    return {split: builder.finished(trees[0].path) for split, builder in builders.items()}


class _Builder(NamedTuple):
    """A split in the making: a place in its arrays for every key that came."""

    split: str
    images: NDArray[np.uint8]
    masks: Mask
    places: dict[str, int]
    scenes: dict[str, str]
    seen: dict[bool, dict[str, str]]  # by kind (mask or image), where each key's file lies

    @staticmethod
    def of(split: str, count: int, size: tuple[int, int], scratch: Path) -> "_Builder":
        images, masks = (array_on_disk(scratch, (count, *size, *more)) for more in ((3,), ()))
        return _Builder(split, images, masks, {}, {}, {False: {}, True: {}})

    def add_image(self, about: PairedFile, file: File, declared: Mapping[str, Any]) -> None:
        place = self._place(about, file)
        pixels = decode(Picture(about.split, "", file.where, file.data), declared)
        self.images[place] = pixels

    def add_mask(self, about: PairedFile, file: File, to_classes: Mask) -> None:
        place = self._place(about, file)
        self.masks[place] = to_classes[read_mask(file, self.masks.shape[1:])]

    def _place(self, about: PairedFile, file: File) -> int:
        seen = self.seen[about.mask]
        if about.key in seen:
            actual = f"{about.key} again, as in {seen[about.key]}"
            raise DamagedData(file.where, actual, "every image and every mask once", COPY)
        seen[about.key] = file.where
        self.scenes[about.key] = about.scene
        place = self.places.setdefault(about.key, len(self.places))
        if place >= len(self.images):
            actual = f"more than {len(self.images)} images"
            raise DamagedData(f"{file.where}, {self.split}", actual, "as many as declared", COPY)
        return place

    def finished(self, source: Path) -> MappedSplit:
        images, masks = self.seen[False].keys(), self.seen[True].keys()
        for lone, what in ((images - masks, "mask"), (masks - images, "image")):
            if lone:
                where = f"{source}, {self.split}"
                raise DamagedData(where, f"no {what} for {min(lone)}", "pairs of both", COPY)
        if len(images) != len(self.images):
            where = f"{source}, {self.split}"
            raise DamagedData(where, f"{len(images)} images", f"{len(self.images)}", COPY)
        scenes = numbered([self.scenes[key] for key in self.places])
        return MappedSplit(self.images, self.masks, scenes)


def numbered(scenes: Sequence[str]) -> NDArray[np.int64]:
    """The number of each scene, by the alphabet of their names."""
    numbers = {name: number for number, name in enumerate(sorted({*scenes}))}
    return np.array([numbers[name] for name in scenes], np.int64)


def array_on_disk(
    folder: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8
) -> NDArray[Any]:
    """An array in a file without a name, which goes when the array does."""
    with plain_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def read_mask(file: File, size: Sequence[int]) -> Mask:
    """The (H, W) values of a mask's picture: the numbers of a grey one, the indices of a palette.

    Raises:
        DamagedData: unreadable, in colours, of another size, or with loss (which changes classes).
    """
    height, width = size
    expected = f"a {width} x {height} PNG of one number per pixel"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(file.data), formats=("PNG",)) as opened:
                actual = f"{opened.size[0]} x {opened.size[1]} pixels of mode {opened.mode}"
                fits = opened.size == (width, height) and opened.mode in ("L", "P")
                values = np.array(opened) if fits else None
    except Exception as error:  # decoders of damaged bytes raise many kinds
        actual = f"an unreadable picture of {len(file.data)} bytes"
        raise DamagedData(file.where, actual, expected, AGAIN) from error
    if values is None:
        raise DamagedData(file.where, actual, expected, AGAIN)
    return values.astype(np.uint8)


def class_table(train_ids: Mapping[int, int]) -> Mask:
    """(256,) the class of every value of a mask; values not named are ignored."""
    table = np.full(256, 255, np.uint8)
    for value, number in train_ids.items():
        table[value] = number
    return table
