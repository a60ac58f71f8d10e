"""Frames of an RGB-D video: an HDF5 file each, which holds an image and its depths."""

import importlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.ingest.masks import array_on_disk, numbered
from kdbench.data.ingest.tree import File, Tree
from kdbench.data.stored.maps import DEPTH_UNIT, MappedSplit
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData, UserError

DEEPEST = np.iinfo(np.uint16).max * DEPTH_UNIT  # metres
Depths = NDArray[np.uint16]  # (H, W) in units of `DEPTH_UNIT`


class FramePlace(NamedTuple):
    """What a file's path says of it.

    Attributes:
        split: "train", say.
        scene: frames of one scene are almost twins.
    """

    split: str
    scene: str


def read_frames(
    trees: Sequence[Tree],
    shapes: Sequence[str],
    place: Callable[[str], FramePlace | None],
    declared: Mapping[str, Any],
    scratch: Path,
) -> dict[str, MappedSplit]:
    """Read all frames into one array of images and one of depths per split.

    Args:
        trees: the files.
        shapes: paths of frames, see `Tree.read`.
        place: what a path says; None for a file that is of no concern.
        declared: the declaration: `image` and `splits` (frames in each).
        scratch: a folder for the arrays, which are larger than memory.

    Raises:
        DamagedData: a frame that cannot be read, has another size or depths that are none, or
            comes twice; more or fewer frames than declared.
        UserError: h5py is not installed.
    """
    _, height, width = declared["image"]
    builders = {
        split: _Builder.of(split, count, (height, width), scratch)
        for split, count in declared["splits"].items()
    }
    for tree in trees:
        for file in tree.read(*shapes, suffixes=(".h5",)):
            about = place(file.name)
            if about is not None and about.split in builders:
                builders[about.split].add(about, file)
    return {split: builder.finished(trees[0].path) for split, builder in builders.items()}


class _Builder(NamedTuple):
    """A split in the making: its arrays, and the scene of every frame that came."""

    split: str
    images: NDArray[np.uint8]
    depths: Depths
    scenes: dict[str, str]  # by the frame's path

    @staticmethod
    def of(split: str, count: int, size: tuple[int, int], scratch: Path) -> "_Builder":
        images = array_on_disk(scratch, (count, *size, 3))
        depths = array_on_disk(scratch, (count, *size), np.uint16)
        return _Builder(split, images, depths, {})

    def add(self, about: FramePlace, file: File) -> None:
        if file.name in self.scenes:
            raise DamagedData(file.where, "the same frame again", "every frame once", COPY)
        number = len(self.scenes)
        if number == len(self.images):
            where, actual = f"{file.where}, {self.split}", f"more than {number} frames"
            raise DamagedData(where, actual, "as many as declared", COPY)
        height, width = self.depths.shape[1:]
        self.images[number], self.depths[number] = read_frame(file, (height, width))
        self.scenes[file.name] = about.scene

    def finished(self, source: Path) -> MappedSplit:
        if len(self.scenes) != len(self.images):
            where, actual = f"{source}, {self.split}", f"{len(self.scenes)} frames"
            raise DamagedData(where, actual, f"{len(self.images)}", COPY)
        return MappedSplit(self.images, self.depths, numbered(list(self.scenes.values())))


def read_frame(file: File, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Depths]:
    """An image (H, W, 3) and its depths (H, W), whose 0 says that there is no measurement.

    Args:
        file: HDF5 with `rgb`, (3, H, W) uint8, and `depth`, (H, W) floats in metres.
        size: (H, W).

    Raises:
        DamagedData: it holds something else.
        UserError: h5py is not installed.
    """
    return kept(*_arrays(file), size, file.where)


def kept(
    image: NDArray[Any], depths: NDArray[Any], size: tuple[int, int], where: str
) -> tuple[NDArray[np.uint8], Depths]:
    """An image (3, H, W) and its depths in metres as they are kept, see `read_frame`.

    Raises:
        DamagedData: they are of another kind or size, or the depths are none.
    """
    shapes = f"rgb {image.dtype} {image.shape} and depth {depths.dtype} {depths.shape}"
    expected = f"rgb uint8 {(3, *size)} and depth in floats {size}"
    fits = image.shape == (3, *size) and depths.shape == size
    if not fits or image.dtype != np.uint8 or depths.dtype.kind != "f":
        raise DamagedData(where, shapes, expected, AGAIN)
    if not (np.isfinite(depths).all() and depths.min() >= 0 and depths.max() <= DEEPEST):
        actual = f"depths from {depths.min():g} to {depths.max():g} m"
        raise DamagedData(where, actual, f"numbers from 0 to {DEEPEST:g}", AGAIN)
    units = np.rint(depths.astype(np.float64) / DEPTH_UNIT).astype(np.uint16)
    return image.transpose(1, 2, 0), units


def _arrays(file: File) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two arrays of a frame."""
    h5py = hdf5(file.where)
    try:
        with h5py.File(io.BytesIO(file.data), "r") as opened:
            return np.asarray(opened["rgb"]), np.asarray(opened["depth"])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        actual = f"{len(file.data)} bytes that are no frame ({' '.join(str(error).split())[:80]})"
        raise DamagedData(file.where, actual, "HDF5 with rgb and depth", AGAIN) from error


def hdf5(where: str) -> Any:
    """The package h5py, an extra that nothing else needs.

    Raises:
        UserError: it is not installed; the line begins with `where`.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise UserError(
            f"{where}: found no package h5py, expected it to read HDF5 with; "
            "pip install 'kdbench[hdf5]'"
        ) from None


def scene_of_video(name: str) -> str:
    """The scene that a video shows; those of one scene end in letters.

    >>> scene_of_video("bedroom_0056b")
    'bedroom_0056'
    """
    return re.sub(r"(?<=\d)[a-z]$", "", name)
