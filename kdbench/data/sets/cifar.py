"""CIFAR-10 and CIFAR-100, whose official archives hold pickles of all images of a split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.ingest.decode import Picture
from kdbench.data.ingest.pickles import loads, texts
from kdbench.data.ingest.small_images import Official, prepare_pictures
from kdbench.data.ingest.tree import File, Tree
from kdbench.data.stored.validation import COPY
from kdbench.errors import DamagedData


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Prepare one of the two from any source, see `small_images.prepare_pictures`.

    Args:
        source: archive or folder.
        out: the prepared folder.
        declaration: also `files` (by split, the names of its pickles; `meta`, the one with the
            class names) and `keys` (what `labels` and class `names` are called in them).

    Returns:
        The fingerprint.
    """
    official = Official(pictures, landmarks=[declaration["files"]["meta"]])
    return prepare_pictures(source, out, declaration, official)


def pictures(tree: Tree, declared: Mapping[str, Any]) -> Iterator[Picture]:
    """The images of the official pickles.

    Raises:
        DamagedData: a pickle is absent, is none, or does not hold what it should.
    """
    splits = {name: split for split in declared["splits"] for name in declared["files"][split]}
    meta = declared["files"]["meta"]
    pickles = [*splits, meta]
    files = {file.name: file for file in tree.read(*pickles)}
    for name in pickles:
        if name not in files:
            raise DamagedData(tree.path, f"no file {name!r}", ", ".join(pickles), COPY)
    names = _class_names(files[meta], declared["keys"]["names"])
    for name, split in splits.items():
        yield from _unpickle(files[name], split, names, declared)


def _class_names(meta: File, key: str) -> list[str]:
    content = loads(meta.data, meta.where)
    try:
        return texts(content[key])
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise DamagedData(meta.where, "no class names", key, COPY) from error


def _unpickle(
    file: File, split: str, names: list[str], declared: Mapping[str, Any]
) -> Iterator[Picture]:
    """Images of one pickle: a row of its array `data` is one of them, (C, H, W) flattened."""
    content = loads(file.data, file.where)
    key, image = declared["keys"]["labels"], declared["image"]
    data, labels, width = content.get("data"), content.get(key), int(np.prod(image))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != width:
        raise DamagedData(file.where, "no such array", f"data of shape (N, {width})", COPY)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise DamagedData(file.where, "no such list", f"{len(data)} {key}", COPY)
    if not all(type(label) is int and 0 <= label < len(names) for label in labels):
        raise DamagedData(file.where, "other labels", f"{key} from 0 to {len(names) - 1}", COPY)
    for row, label in zip(data, labels, strict=True):
        pixels = row.reshape(image).transpose(1, 2, 0)
        yield Picture(split, names[label], file.where, pixels)
