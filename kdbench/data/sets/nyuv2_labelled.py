"""NYU Depth v2's 1,449 labelled images, in one MATLAB file, and their official split."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.ingest.frames import hdf5, kept, scene_of_video
from kdbench.data.ingest.image_files import AGAIN
from kdbench.data.ingest.masks import array_on_disk, numbered
from kdbench.data.stored.maps import MappedSplit, write
from kdbench.errors import DamagedData, UserError
from kdbench.exhibits.tasks import DEPTH

IMAGES, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
NUMBERS = {"train": "trainNdxs", "test": "testNdxs"}  # in SPLITS, from 1
LONGEST = 100  # letters of a scene's name


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from a folder with both files, or from the images' file beside the other one.

    Its depths are the in-painted ones, `depths`: every pixel has one.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: a file cannot be read, or has other keys, shapes, numbers or depths.
        UserError: a file is absent, h5py is not installed, or the disk is full.
    """
    file = source / IMAGES if source.is_dir() else source
    beside = file.with_name(SPLITS)
    for path in (file, beside):
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected {IMAGES} and {SPLITS} in one folder")
    places = read_places(beside, declaration["splits"])
    h5py = hdf5(str(file))
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with h5py.File(file, "r") as opened:
            names = _scenes(opened, file, declaration)
            splits = {
                split: _read(opened, file, chosen, names, declaration, out.parent)
                for split, chosen in places.items()
            }
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        actual = f"no such images ({' '.join(str(error).split())[:80]})"
        expected = "MATLAB 7.3 (HDF5) with images, depths and scenes"
        raise DamagedData(file, actual, expected, AGAIN) from error
    name, classes = declaration["name"], declaration["class_names"]
    return write(out, name, splits, classes, task=DEPTH, parted=False, expected=declaration)


def read_places(file: Path, counts: Mapping[str, int]) -> dict[str, list[int]]:
    """The positions, from 0, of each split's images.

    Raises:
        DamagedData: not every image is in one split, or a split has another size.
    """
    from scipy.io import loadmat  # its import takes a while

    try:
        content = loadmat(file, variable_names=list(NUMBERS.values()))
        numbers = {split: np.ravel(content[key]).tolist() for split, key in NUMBERS.items()}
    except Exception as error:  # scipy raises many kinds for damaged bytes
        expected = f"MATLAB 5 with {' and '.join(NUMBERS.values())}"
        raise DamagedData(file, "something else", expected, AGAIN) from error
    every = sorted(number for split in numbers.values() for number in split)
    sizes = {split: len(part) for split, part in numbers.items()}
    if sizes != dict(counts) or every != list(range(1, len(every) + 1)):
        expected = f"every image in one split, {dict(counts)}"
        raise DamagedData(file, f"other numbers, {sizes}", expected, AGAIN)
    return {split: [int(number) - 1 for number in sorted(part)] for split, part in numbers.items()}


def _scenes(opened: Any, file: Path, declared: Mapping[str, Any]) -> list[str]:
    """Every image's scene, once the shapes are right: MATLAB's axes come in reverse."""
    count, (colours, height, width) = sum(declared["splits"].values()), declared["image"]
    images, depths, scenes = (opened[key] for key in ("images", "depths", "scenes"))
    shapes = {"images": (count, colours, width, height), "depths": (count, width, height)}
    shapes["scenes"] = (1, count)
    actual = {"images": images.shape, "depths": depths.shape, "scenes": scenes.shape}
    if actual != shapes:
        raise DamagedData(file, str(actual), str(shapes), AGAIN)
    texts = [opened[reference] for reference in scenes[0]]
    if not all(0 < text.size <= LONGEST and text.dtype == np.uint16 for text in texts):
        raise DamagedData(f"{file}, scenes", "something else", "names", AGAIN)
    return [scene_of_video("".join(map(chr, np.ravel(text)))) for text in texts]


def _read(
    opened: Any,
    file: Path,
    places: Sequence[int],
    scenes: Sequence[str],
    declared: Mapping[str, Any],
    scratch: Path,
) -> MappedSplit:
    _, *size = declared["image"]
    images = array_on_disk(scratch, (len(places), *size, 3))
    depths = array_on_disk(scratch, (len(places), *size), np.uint16)
    for number, place in enumerate(places):
        image, depth = opened["images"][place].transpose(0, 2, 1), opened["depths"][place].T
        where = f"{file}, image {place + 1}"
        images[number], depths[number] = kept(image, depth, (size[0], size[1]), where)
    return MappedSplit(images, depths, numbered([scenes[place] for place in places]))
