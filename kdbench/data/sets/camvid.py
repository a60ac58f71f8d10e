"""CamVid with the split and the eleven classes of SegNet, at full or at half size."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.data.ingest.masks import PairedFile, class_table, read_splits, trees_of
from kdbench.data.stored.maps import write
from kdbench.exhibits.tasks import SEGMENTATION

# <split>/<video>_<frame> and <split>annot/<video>_<frame>
NAME = re.compile(r"(train|val|test)(annot)?/(\w+)\.(?:png|jpg|jpeg)")
SPLITS = {"train": "train", "val": "valid", "test": "test"}
ARCHIVES = ("train.zip", "val.zip", "test.zip")


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from SegNet's folders, in a folder or in archives.

    The split "val" becomes "valid", which searches choose on.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: see `masks.read_splits`.
        UserError: there is no such source, or the disk is full.
    """
    shapes = [f"{split}{kind}/*" for split in SPLITS for kind in ("", "annot")]
    shapes += [f"CamVid/{shape}" for shape in shapes]
    table = class_table({number: number for number in range(declaration["classes"])})
    trees = trees_of(source, ARCHIVES)
    out.parent.mkdir(parents=True, exist_ok=True)
    splits = read_splits(trees, shapes, place, declaration, table, out.parent)
    name, classes = declaration["name"], declaration["class_names"]
    return write(out, name, splits, classes, task=SEGMENTATION, expected=declaration)


def place(path: str) -> PairedFile | None:
    """What a file's path says of it.

    >>> place("CamVid/trainannot/0001TP_006690.png")
    PairedFile(split='train', key='0001TP_006690', mask=True, scene='0001TP')
    """
    match = NAME.fullmatch(path.removeprefix("CamVid/"))
    if match is None:
        return None
    return PairedFile(SPLITS[match[1]], match[3], bool(match[2]), match[3].partition("_")[0])
