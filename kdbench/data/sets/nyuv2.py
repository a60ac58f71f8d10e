"""NYU Depth v2 as sparse-to-dense prepared it: 47,584 frames of videos, 654 labelled ones."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.frames import FramePlace, read_frames, scene_of_video
from kdbench.data.ingest.masks import trees_of
from kdbench.data.stored.maps import write
from kdbench.errors import UserError
from kdbench.exhibits.tasks import DEPTH

FRAME = re.compile(r"(train|val)/(\w+)/\w+\.h5")
SPLITS = {"train": "train", "val": "test"}
ARCHIVES = ("nyudepthv2.tar.gz",)
LARGEST = 1 << 37  # bytes that the archive may unpack to: 48,238 frames of 2.15 MB


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from the archive of sparse-to-dense, or from what that unpacks to.

    Its split "val", the official test images, becomes "test".

    Returns:
        The fingerprint.

    Raises:
        DamagedData: see `frames.read_frames`.
        UserError: there is no such source, h5py is not installed, or the disk is full.
    """
    if source.suffix == ".mat":
        raise UserError(f"{source}: expected frames; labelled images are data set nyuv2_labelled")
    shapes = [f"{split}/*/*" for split in SPLITS]
    shapes += [f"nyudepthv2/{shape}" for shape in shapes]
    trees = trees_of(source, ARCHIVES, LARGEST)
    out.parent.mkdir(parents=True, exist_ok=True)
    splits = read_frames(trees, shapes, place, declaration, out.parent)
    name, classes = declaration["name"], declaration["class_names"]
    return write(out, name, splits, classes, task=DEPTH, parted=False, expected=declaration)


def place(path: str) -> FramePlace | None:
    """What a frame's path says of it; videos of one scene are one scene.

    >>> place("nyudepthv2/train/bedroom_0056b/00021.h5")
    FramePlace(split='train', scene='bedroom_0056')
    """
    match = FRAME.fullmatch(path.removeprefix("nyudepthv2/"))
    return FramePlace(SPLITS[match[1]], scene_of_video(match[2])) if match else None
