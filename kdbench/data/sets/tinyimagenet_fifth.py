"""The first hundred training images of every class of Tiny-ImageNet, kept as the files they are.

Enough for short trainings on real images that go the way of ImageNet's: decoded while training.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench.data.ingest.decode import Picture
from kdbench.data.ingest.image_files import AGAIN, check_picture
from kdbench.data.ingest.layouts import find_passed_over
from kdbench.data.ingest.small_images import Official, open_source
from kdbench.data.ingest.tree import Tree
from kdbench.data.sets import tinyimagenet
from kdbench.data.stored import shards
from kdbench.data.stored.arrow import Row
from kdbench.data.stored.validation import COPY, PassedOver, PassedOverFiles, check_classes
from kdbench.errors import DamagedData, UserError

PER_CLASS = 100  # training images; files are numbered from 0
NUMBER = re.compile(r"_(0|[1-9][0-9]{0,8})\Z")  # at the end of a published name


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from Tiny-ImageNet, or from a copy that has these images alone.

    Every image must be a JPEG or PNG of the declared size by its header and have its end, see
    `check_picture`: no pixels of a JPEG are compared.

    Args:
        source: in any layout that `tinyimagenet.prepare` takes, the files under their own names.
        out: the prepared folder, see `shards.write`.
        declaration: of this data set.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: a class is unknown or has another number of images than declared, a training
            image is there twice, an image is not whole or has another size, or a list is damaged.
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
    labels: dict[str, list[str]] = {split: [] for split in declared["splits"]}
    misnamed: Counter[str] = Counter()
    for picture in _chosen(pictures, number, misnamed):
        labels[picture.split].append(picture.label)
        if picture.label in number:
            assert isinstance(picture.data, bytes)  # of a file: pixels come from arrays alone
            _check_size(picture.where, picture.data, declared["image"])
            rows[picture.split].append((number[picture.label], picture.data))
    check_classes(tree.path, labels, declared, _passed_over(tree, declared, misnamed))
    for of_split in rows.values():
        of_split.sort(key=lambda row: (row[0], sha256(row[1]).digest()))
    return rows


def _chosen(
    pictures: Iterator[Picture], classes: Collection[str], misnamed: Counter[str]
) -> Iterator[Picture]:
    """All test images, every class's training images with numbers below `PER_CLASS`.

    Those of unknown classes come as well, to be refused.

    Args:
        pictures: of a source.
        classes: the known ones.
        misnamed: counts, by class, the training images whose names have no number.

    Raises:
        DamagedData: a class has a number twice.
    """
    seen: dict[tuple[str, str], str] = {}  # by class and number, the file
    for picture in pictures:
        if picture.split != "train" or picture.label not in classes:
            yield picture
        elif (match := NUMBER.search(PurePosixPath(picture.where).stem)) is None:
            misnamed[picture.label] += 1
        elif int(match[1]) < PER_CLASS:
            key = picture.label, match[1]
            if key in seen:
                actual = f"number {match[1]} again, as in {seen[key]}"
                raise DamagedData(picture.where, actual, "every number of a class once", COPY)
            seen[key] = picture.where
            yield picture


def _check_size(where: str, data: bytes, image: list[int]) -> None:
    """Refuse a file that is no whole picture of that size; its pixels are not decoded."""
    _, height, width = image
    size = check_picture(data, where)
    if size != (width, height):
        expected = f"{width} x {height} pixels"
        raise DamagedData(where, f"{size[0]} x {size[1]} pixels", expected, AGAIN)


def _passed_over(tree: Tree, declared: Mapping[str, Any], misnamed: Counter[str]) -> PassedOver:
    """Says which images of a split and a class do not count, for their names or their format."""
    of_other_formats = find_passed_over(tree, declared)

    def of_class(split: str, label: str) -> PassedOverFiles:
        if split != "train" or not misnamed[label]:
            return of_other_formats(split, label)
        text = f" ({misnamed[label]} more, whose names do not end in _<number> as published)"
        advice = f"give the images their published names, such as {label}_7.JPEG"
        return PassedOverFiles(text, advice)

    return of_class
