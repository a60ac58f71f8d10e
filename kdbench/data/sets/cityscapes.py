"""Cityscapes: leftImg8bit and gtFine, 34 ids of which 19 are trained."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.masks import PairedFile, class_table, read_splits, trees_of
from kdbench.data.stored.maps import write
from kdbench.exhibits.tasks import SEGMENTATION

IMAGE = re.compile(r"leftImg8bit/(train|val)/\w+/((\w+?)_\d+_\d+)_leftImg8bit\.png")
MASK = re.compile(r"gtFine/(train|val)/\w+/((\w+?)_\d+_\d+)_gtFine_labelIds\.png")
SPLITS = {"train": "train", "val": "test"}  # labels of the official test images are not public
ARCHIVES = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
# The 19 ids of 34 that are trained and measured, in the order of their training ids: road,
# sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky,
# person, rider, car, truck, bus, train, motorcycle, bicycle. All others are ignored.
# Source: labels.py of the official cityscapesScripts.
TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from a folder with the two official archives, or with what they unpack to.

    The official validation images become the split "test".

    Returns:
        The fingerprint.

    Raises:
        DamagedData: see `masks.read_splits`.
        UserError: there is no such source, or the disk is full.
    """
    shapes = [f"{folder}/{split}/*/*" for folder in ("leftImg8bit", "gtFine") for split in SPLITS]
    table = class_table({value: number for number, value in enumerate(TRAINED)})
    trees = trees_of(source, ARCHIVES)
    out.parent.mkdir(parents=True, exist_ok=True)
    splits = read_splits(trees, shapes, place, declaration, table, out.parent)
    name, classes = declaration["name"], declaration["class_names"]
    return write(out, name, splits, classes, task=SEGMENTATION, expected=declaration)


def place(path: str) -> PairedFile | None:
    """What a file's path says of it.

    >>> place("gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png")
    PairedFile(split='test', key='lindau_000000_000019', mask=True, scene='lindau')
    """
    for pattern, mask in ((IMAGE, False), (MASK, True)):
        match = pattern.fullmatch(path)
        if match:
            return PairedFile(SPLITS[match[1]], match[2], mask, match[3])
    return None
