"""ImageNet's development kit: what its classes are called, and the validation set's labels."""

import io
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdbench.data.ingest.archive import members
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData
from kdbench.store.disk import plain_errors

META = "ILSVRC2012_devkit_t12/data/meta.mat"
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"


class Devkit(NamedTuple):
    """What the development kit says.

    Attributes:
        words: what the classes are called, by class name.
        numbers: the classes' numbers in the kit, from 1; not the order of their names.
        truth: the class name of every validation image, in the order of their file names.
    """

    words: dict[str, str]
    numbers: dict[str, int]
    truth: list[str]


def read_devkit(path: Path, declared: Mapping[str, Any]) -> Devkit:
    """Classes and ground truth of the development kit.

    Args:
        path: the archive.
        declared: `class_names`, and `splits`, where "test" counts the validation images.

    Raises:
        DamagedData: a file is absent or broken, or speaks of other classes or images.
    """
    files = dict(members(path, {META, TRUTH}.__contains__))
    for name in (META, TRUTH):
        if name not in files:
            raise DamagedData(path, f"no file {name!r}", f"{META} and {TRUTH}", COPY)
    names, where = declared["class_names"], f"{path}, {META}"
    leaves = _leaves(files[META], where)
    check_names(where, [wnid for wnid, _, _ in leaves], names)
    by_number = {number: wnid for wnid, number, _ in leaves}
    if len(leaves) != len(names) or by_number.keys() != set(range(1, len(names) + 1)):
        raise DamagedData(where, "other numbers", f"classes numbered 1 to {len(names)}", COPY)
    lines, count = files[TRUTH].split(), declared["splits"]["test"]
    if len(lines) != count:
        raise DamagedData(f"{path}, {TRUTH}", f"{len(lines)} lines", f"{count}", COPY)
    known = {str(number).encode(): wnid for number, wnid in by_number.items()}
    if not known.keys() >= set(lines):
        raise DamagedData(f"{path}, {TRUTH}", "other lines", f"1 to {len(names)} in each", COPY)
    by_name = sorted(leaves)
    return Devkit(
        words={wnid: words for wnid, _, words in by_name},
        numbers={wnid: number for wnid, number, _ in by_name},
        truth=[known[line] for line in lines],
    )


def read_solution(path: Path, classes: Collection[str]) -> dict[str, str]:
    """Class name of every validation image, by file name, as Kaggle's copy lists them.

    Args:
        path: `LOC_val_solution.csv`: "ImageId,PredictionString", then a line per image with the
            class and a box, or several.
        classes: class names.

    Raises:
        DamagedData: a line has another form or another class.
        UserError: it cannot be read.
    """
    with plain_errors(path):
        lines = path.read_text("utf-8", "replace").splitlines()
    labels = {}
    for number, line in enumerate(lines[1:], 2):
        name, _, boxes = line.partition(",")
        wnid = (boxes.split() or [""])[0]
        if wnid not in classes:
            expected = f"an image and one of {len(classes)} classes"
            raise DamagedData(f"{path}, line {number}", repr(line[:40]), expected, COPY)
        labels[f"{name}.JPEG"] = wnid
    return labels


def _leaves(data: bytes, where: str) -> list[tuple[str, int, str]]:
    """Name, number and words of the synsets without children: the others are no classes."""
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(data), squeeze_me=True)  # type: ignore[arg-type]
        synsets = np.atleast_1d(content["synsets"])
        return [
            (str(one["WNID"]), int(one["ILSVRC2012_ID"]), str(one["words"]))
            for one in synsets
            if int(one["num_children"]) == 0
        ]
    except Exception as error:  # damaged bytes raise many kinds
        reason = f"{type(error).__name__} ({' '.join(str(error).split())[:120]})"
        raise DamagedData(where, reason, "the devkit's synsets", COPY) from error


def check_names(where: str, names: Collection[str], expected: Collection[str]) -> None:
    """Compare the names of the classes of a source with those of the data set.

    Raises:
        DamagedData: one is missing, or one is unknown.
    """
    for wrong, problem in (
        (sorted(set(expected) - set(names)), "no class"),
        (sorted(set(names) - set(expected)), "an unknown class"),
    ):
        if wrong:
            raise DamagedData(where, f"{problem} {wrong[0]!r}", f"{len(expected)} classes", COPY)
