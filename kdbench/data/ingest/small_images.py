"""From any source of a data set of small pictures to its prepared folder: one way for all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kdbench.data.ingest.decode import Picture, decode_splits
from kdbench.data.ingest.download import digest, matches
from kdbench.data.ingest.layouts import find_passed_over, pictures_below
from kdbench.data.ingest.tree import ArchiveTree, FolderTree, Tree
from kdbench.data.stored.arrays import write
from kdbench.data.stored.validation import check_classes
from kdbench.errors import BadValue, DamagedData, UserError
from kdbench.store.disk import plain_errors

Declared: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Official:
    """How the files of a data set's official archive are read.

    Attributes:
        pictures: the labelled pictures in a tree of those files.
        landmarks: files and folders of which one is at the top of what the archive unpacks to; none
            where these are class folders like any.
        details: from such a tree and the class names to more keys of `meta.json`.
    """

    pictures: Callable[[Tree, Declared], Iterator[Picture]]
    landmarks: Sequence[str] = ()
    details: Callable[[Tree, Sequence[str]], Mapping[str, Any]] = lambda tree, classes: {}


def prepare_pictures(source: Path, out: Path, declared: Declared, official: Official) -> str:
    """Read a data set from `source`, whatever its layout, and write it prepared to `out`.

    Labels follow the alphabet of the class names, so every layout gives the same result. The
    images are in memory once.

    Args:
        source: the official archive; a folder with it, or with what it unpacks to; a folder
            `<split>/<class>/` of pictures; a folder of zip shards of those.
        out: the prepared folder, see `arrays.write`.
        declared: `name`, `classes`, `image` and `splits` (images in each); optionally `archive`
            (`url`, `root`, and the `checksum` that a given archive must have), `class_names`,
            `formats`, `folders`, and of the result `fingerprint`, `mean` and `std`.
        official: how the official archive is read.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the source is broken, incomplete or has too much; `out` is as it was.
        UserError: there is no such source, its layout is unknown, or the disk is full.
    """
    _check_declaration(declared)
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; expected {_known_layouts(declared)}")
    tree, pictures = open_source(source, declared, official)
    decoded = decode_splits(pictures, declared)
    labels = {split: labels for split, (_, labels) in decoded.items()}
    classes = check_classes(source, labels, declared, find_passed_over(tree, declared))
    number = {name: label for label, name in enumerate(classes)}
    splits = {
        split: (images, np.array([number[name] for name in labels], dtype=np.int64))
        for split, (images, labels) in decoded.items()
    }
    details = official.details(tree, classes)
    return write(out, declared["name"], splits, classes, expected=declared, details=details)


def _check_declaration(declared: Declared) -> None:
    for key in ("classes", "image", "splits"):
        if not declared.get(key):
            expected = "a declaration with classes, image and splits"
            raise BadValue(f"{declared['name']}.toml", f"no {key}", expected)


def open_source(
    source: Path, declared: Declared, official: Official
) -> tuple[Tree, Iterator[Picture]]:
    """The files of a source and the pictures in them, whatever its layout; see `prepare_pictures`.

    Raises:
        UserError: its layout is unknown.
    """
    if source.is_file():
        return _open_archive(source, declared, official)
    published = declared.get("archive", {})
    below = [published["root"]] if "root" in published else []
    roots = [source.joinpath(*below * depth) for depth in ((2, 1, 0) if below else (0,))]
    for folder in roots:
        if any((folder / name).exists() for name in official.landmarks):
            return FolderTree(folder), official.pictures(FolderTree(folder), declared)
    if "url" in published and (source / _file_name(published["url"])).is_file():
        return _open_archive(source / _file_name(published["url"]), declared, official)
    for folder in roots:
        pictures = pictures_below(folder, declared)
        if pictures is not None:
            return FolderTree(folder), pictures
    with plain_errors(source):
        content = ", ".join(sorted(path.name for path in source.iterdir())[:5]) or "nothing"
    expected = _known_layouts(declared)
    raise UserError(f"{source}: layout not recognised; found {content}; expected {expected}")


def _open_archive(
    path: Path, declared: Declared, official: Official
) -> tuple[Tree, Iterator[Picture]]:
    checksum = declared.get("archive", {}).get("checksum")
    if checksum and not matches(path, checksum):
        actual = digest(path, checksum.partition(":")[0])
        advice = "it is not the published file: download that, or unpack this and give the folder"
        raise DamagedData(path, actual, checksum, advice)
    return ArchiveTree(path), official.pictures(ArchiveTree(path), declared)


def _file_name(url: str) -> str:
    return url.rpartition("/")[2]


def _known_layouts(declared: Declared) -> str:
    """What would be understood, for errors."""
    split, suffix = next(iter(declared["splits"])), (declared.get("formats") or ["png"])[0]
    known = [
        f"class folders {split}/<class>/*.{suffix}",
        f"zip shards {split}-<n>.zip of those",
    ]
    published = declared.get("archive", {})
    if "root" in published:
        known.insert(0, f"a folder with it or with {published['root']}/")
    if "url" in published:
        known.insert(0, f"the archive {_file_name(published['url'])}")
    return f"{', '.join(known[:-1])} or {known[-1]}"
