"""Tiny-ImageNet-200: training images in class folders, the others listed with their classes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.data.ingest.decode import Picture, suffixes
from kdbench.data.ingest.small_images import Official, prepare_pictures
from kdbench.data.ingest.tree import File, Tree
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData

CLASSES = "wnids.txt"  # one WordNet id per line
WORDS = "words.txt"  # id, tab, the words that it stands for; of all ids of WordNet
LISTED = "val/val_annotations.txt"  # file, tab, id, tab, box


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from any source, see `small_images.prepare_pictures`.

    The official validation images become the split "test"; the official test images have no
    labels and are left out. Classes are called by their ids; what they mean is `words` in
    `meta.json`, where the source has `words.txt`.

    Returns:
        The fingerprint.
    """
    official = Official(pictures, landmark=CLASSES, details=words)
    return prepare_pictures(source, out, declaration, official)


def pictures(tree: Tree, declared: Mapping[str, Any]) -> Iterator[Picture]:
    """The training and validation images of the official files.

    Raises:
        DamagedData: a list is absent or damaged, names a class that is none or an image that is
            absent, or lacks an image.
    """
    texts = {file.name: file for file in tree.read(CLASSES, LISTED)}
    for name in (CLASSES, LISTED):
        if name not in texts:
            raise DamagedData(tree.path, f"no file {name!r}", f"{CLASSES} and {LISTED}", COPY)
    classes = {fields[0] for _, fields in _lines(texts[CLASSES], 1)}
    labels = _labels(texts[LISTED], classes)
    shapes = ("train/*/images/*", "val/images/*")
    for file in tree.read(*shapes, suffixes=suffixes(declared)):
        split, name, *_, last = file.name.split("/")
        if split == "train":
            yield Picture("train", name, file.where, file.data)
        elif last in labels:
            yield Picture("test", labels.pop(last), file.where, file.data)
        else:
            raise DamagedData(file.where, "no class for it", f"one line in {LISTED}", COPY)
    for last in sorted(labels):
        actual = f"{last!r}, which is absent"
        raise DamagedData(texts[LISTED].where, actual, "names of files in val/images", COPY)


def words(tree: Tree, classes: Sequence[str]) -> dict[str, Any]:
    """What the classes are called, as `{"words": {id: words}}`; nothing without `words.txt`."""
    for file in tree.read(WORDS):
        called = {label: text for _, (label, text, *_) in _lines(file, 2)}
        return {"words": {label: called[label] for label in classes if label in called}}
    return {}


def _labels(listed: File, classes: set[str]) -> dict[str, str]:
    """Class by file name."""
    labels: dict[str, str] = {}
    for line, (name, label, *_) in _lines(listed, 2):
        where = f"{listed.where}, line {line}"
        if label not in classes:
            raise DamagedData(where, f"class {label!r}", f"one of {CLASSES}", COPY)
        if name in labels:
            raise DamagedData(where, f"{name!r} again", "every file once", COPY)
        labels[name] = label
    return labels


def _lines(file: File, fields: int) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line that is not empty.

    Raises:
        DamagedData: it is no text, or a line has fewer fields than that.
    """
    try:
        text = file.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedData(file.where, f"no text ({error.reason})", "UTF-8", COPY) from error
    for number, line in enumerate(text.splitlines(), 1):
        columns = line.strip().split("\t")
        if line.strip() and len(columns) < fields:
            expected = f"{fields} or more fields between tabs"
            raise DamagedData(f"{file.where}, line {number}", repr(line), expected, COPY)
        if line.strip():
            yield number, columns
