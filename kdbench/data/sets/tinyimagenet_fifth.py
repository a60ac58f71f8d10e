"""The first hundred training images of every class of Tiny-ImageNet, kept as the files they are.

Enough for short trainings on real images that go the way of ImageNet's: decoded while training.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench.data.ingest.decode import Picture
from kdbench.data.ingest.small_images import Official, open_source
from kdbench.data.ingest.tree import Tree
from kdbench.data.sets import tinyimagenet
from kdbench.data.stored import shards
from kdbench.data.stored.arrow import Row
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData, UserError

PER_CLASS = 100  # training images; files are numbered from 0


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from Tiny-ImageNet, or from a copy that has these images alone.

    Args:
        source: in any layout that `tinyimagenet.prepare` takes, the files under their own names.
        out: the prepared folder, see `shards.write`.
        declaration: of this data set.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: a split has another number of images than declared.
        UserError: there is no such source, or its layout is unknown.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; expected a copy of Tiny-ImageNet")
    official = Official(tinyimagenet.pictures, landmarks=[tinyimagenet.CLASSES, "val"])
    tree, pictures = open_source(source, declaration, official)
    rows = _by_split(tree, pictures, declaration)
    about = {key: declaration[key] for key in ("name", "image", "mean", "std")}
    about["stand_in"] = None
    return shards.write(out, about, rows, declaration["class_names"])


def _by_split(
    tree: Tree, pictures: Iterator[Picture], declared: Mapping[str, Any]
) -> dict[str, list[Row]]:
    """Labels and files of each split, sorted by (label, SHA-256 of the file)."""
    number = {name: label for label, name in enumerate(declared["class_names"])}
    rows: dict[str, list[Row]] = {split: [] for split in declared["splits"]}
    for picture in pictures:
        assert isinstance(picture.data, bytes)  # of a file: pixels come from arrays alone
        if picture.split != "train" or _is_of_the_first(picture.where):
            rows[picture.split].append((number[picture.label], picture.data))
    for split, expected in declared["splits"].items():
        if len(rows[split]) != expected:
            actual = f"{len(rows[split])} images"
            raise DamagedData(f"{tree.path}, {split}", actual, f"{expected}", COPY)
        rows[split].sort(key=lambda row: (row[0], sha256(row[1]).digest()))
    return rows


def _is_of_the_first(where: str) -> bool:
    """Whether a training image, such as n01443537_7.JPEG, has a number below `PER_CLASS`."""
    last = PurePosixPath(where).stem.rpartition("_")[2]
    return last.isdecimal() and int(last) < PER_CLASS
