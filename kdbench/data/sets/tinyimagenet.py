"""Tiny-ImageNet-200: training images in class folders, the others listed with their classes."""

from collections import Counter
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
SHAPES = ("train/*/*", "train/*/images/*", "val/*/*", "val/*/images/*")  # of images


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare it from any source, see `small_images.prepare_pictures`.

    The official validation images become the split "test"; the official test images have no
    labels and are left out. Classes are called by their ids; what they mean is `words` in
    `meta.json`, where the source has `words.txt`.

    Returns:
        The fingerprint.
    """
    official = Official(pictures, landmarks=[CLASSES, "val"], details=words)
    return prepare_pictures(source, out, declaration, official)


def pictures(tree: Tree, declared: Mapping[str, Any]) -> Iterator[Picture]:
    """The training and validation images of the official files, as published or sorted by class.

    Widespread scripts move the validation images to `val/<id>/` or `val/<id>/images/`, and the
    training images to `train/<id>/`, with or without the lists.

    Raises:
        DamagedData: a list is absent where it is needed, or damaged; it names a class that is none
            or an image that is absent, lacks an image, or names another class than an image's
            folder; or only some images are sorted.
    """
    texts = {file.name: file for file in tree.read(CLASSES, LISTED)}
    names = texts.get(CLASSES)
    classes = {f[0] for _, f in _lines(names, 1)} if names else set(declared["class_names"])
    labels = _labels(texts[LISTED], classes) if LISTED in texts else {}
    shapes: Counter[str] = Counter()
    for file in tree.read(*SHAPES, suffixes=suffixes(declared)):
        split, folder, *_, last = file.name.split("/")
        listed = split == "val" and folder == "images"
        shapes[_shape(file.name, listed)] += 1
        if split == "train":
            yield Picture("train", folder, file.where, file.data)
        elif listed and LISTED not in texts:
            raise DamagedData(tree.path, f"no file {LISTED!r}", f"{CLASSES} and {LISTED}", COPY)
        elif listed and last not in labels:
            raise DamagedData(file.where, "no class for it", f"one line in {LISTED}", COPY)
        else:
            label = labels.pop(last, folder)
            if not listed and label != folder:
                expected = f"class {label}, as in {LISTED}"
                raise DamagedData(file.where, f"class {folder}", expected, COPY)
            yield Picture("test", label, file.where, file.data)
    _check_shapes(tree, shapes)
    for last in sorted(labels):
        actual = f"{last!r}, which is absent"
        raise DamagedData(texts[LISTED].where, actual, "names of files in val/images", COPY)


def _shape(name: str, listed: bool) -> str:
    """What the place of an image looks like."""
    split, *folders, _ = name.split("/")
    return f"{split}/images" if listed else "/".join([split, "<id>", *folders[1:]])


def _check_shapes(tree: Tree, shapes: Mapping[str, int]) -> None:
    """Refuse a split of which only a part was moved: some images may be there twice or not at all.

    Raises:
        DamagedData: it is so.
    """
    for split in ("train", "val"):
        counts = {shape: n for shape, n in shapes.items() if shape.startswith(split)}
        if len(counts) > 1:
            actual = " and ".join(f"{n} images in {shape}" for shape, n in sorted(counts.items()))
            advice = "a script that sorts them broke off; unpack the archive again"
            raise DamagedData(f"{tree.path}, {split}", actual, "one layout", advice)


def words(tree: Tree, classes: Sequence[str]) -> dict[str, Any]:
    """What the classes are called, and the published order of them, in which others number them.

    Returns:
        `{"words": {id: words}, "orders": {"wnids.txt": ids}}`, without what the source lacks.
    """
    details: dict[str, Any] = {}
    for file in tree.read(WORDS):
        called = {label: text for _, (label, text, *_) in _lines(file, 2)}
        details["words"] = {label: called[label] for label in classes if label in called}
    for file in tree.read(CLASSES):
        details["orders"] = {CLASSES: [label for _, (label, *_) in _lines(file, 1)]}
    return details


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
