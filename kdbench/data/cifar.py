"""CIFAR-100 from whatever holds it: official archive, its folder, class folders, zip shards."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.archive import members
from kdbench.data.content import Split
from kdbench.data.dataset import write
from kdbench.data.disk import plain_errors
from kdbench.data.download import digest, matches
from kdbench.data.images import assemble
from kdbench.data.layouts import class_folders, zip_shards
from kdbench.data.pickles import loads, texts
from kdbench.errors import DamagedData, UserError

Files = dict[str, bytes]  # by name: the splits and "meta"
Found = tuple[dict[str, Split], list[str]]  # splits by name, class names

COPY = "get the source again, it is not complete or not this data set"


def prepare(source: Path, out: Path, declaration: Mapping[str, Any]) -> str:
    """Read the data set from `source`, whatever its layout, and write it prepared to `out`.

    Labels follow the alphabet of the class names, so every layout gives the same result.

    Args:
        source: the official archive; a folder with it, or with what it unpacks to; a folder
            `<split>/<class>/` of pictures; a folder of zip shards of those.
        out: the prepared folder, see `dataset.write`.
        declaration: `name`, `classes`, `image`, `splits` (images in each) and `archive` (`url`,
            `root`, and optionally the `checksum` that a given archive must have), and
            optionally the `fingerprint` of the result.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: the source is broken, incomplete or has too much; `out` is as it was.
        UserError: there is no such source, its layout is unknown, or the disk is full.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; expected {_layouts(declaration)}")
    splits, classes = _read(source, declaration)
    _check_counts(source, splits, classes, declaration)
    expected = declaration.get("fingerprint")
    return write(out, declaration["name"], splits, classes, expected=expected)


def _read(source: Path, declaration: Mapping[str, Any]) -> Found:
    archive, names = declaration["archive"], declaration["splits"]
    if source.is_file():
        return _official(source, _from_archive(source, archive, names), declaration)
    inside = source / archive["url"].rpartition("/")[2]
    for folder in (source / archive["root"], source):
        if (folder / "meta").is_file():
            return _official(folder, _from_folder(folder, names), declaration)
    if inside.is_file():
        return _official(inside, _from_archive(inside, archive, names), declaration)
    pictures = zip_shards(source, names) or class_folders(source, names)
    if pictures is None:
        with plain_errors(source):
            content = ", ".join(sorted(path.name for path in source.iterdir())[:5]) or "nothing"
        expected = _layouts(declaration)
        raise UserError(f"{source}: layout not recognised; found {content}; expected {expected}")
    return assemble(pictures, declaration["image"])


def _layouts(declaration: Mapping[str, Any]) -> str:
    archive, split = declaration["archive"], next(iter(declaration["splits"]))
    official = archive["url"].rpartition("/")[2]
    return (
        f"the archive {official}, a folder with it or with {archive['root']}/, class folders "
        f"{split}/<class>/*.png, or zip shards {split}-<n>.zip of those"
    )


def _from_archive(
    path: Path, archive: Mapping[str, Any], names: Mapping[str, int]
) -> dict[str, bytes]:
    """Bytes of the official files in the archive, after its checksum."""
    checksum = archive.get("checksum")
    if checksum and not matches(path, checksum):
        found = digest(path, checksum.partition(":")[0])
        raise DamagedData(path, found, checksum, "download the archive again")
    wanted = {f"{archive['root']}/{name}": name for name in (*names, "meta")}
    return {wanted[name]: data for name, data in members(path) if name in wanted}


def _from_folder(folder: Path, names: Mapping[str, int]) -> Files:
    with plain_errors(folder):
        paths = [folder / name for name in (*names, "meta")]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _official(where: Path, files: Files, declaration: Mapping[str, Any]) -> Found:
    """Splits and class names from the official pickles, labels put in alphabetical order."""
    for name in (*declaration["splits"], "meta"):
        if name not in files:
            raise DamagedData(where, f"no file {name!r}", "train, test and meta", COPY)
    meta = loads(files["meta"], f"{where}, meta")
    try:
        names = texts(meta["fine_label_names"])
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise DamagedData(f"{where}, meta", "no class names", "fine_label_names", COPY) from error
    classes = sorted(names)
    order = np.array([classes.index(name) for name in names], dtype=np.int64)
    splits = {}
    for split in declaration["splits"]:
        content = loads(files[split], f"{where}, {split}")
        images, labels = _pixels(f"{where}, {split}", content, len(names), declaration["image"])
        splits[split] = images, order[labels]
    return splits, classes


def _pixels(where: str, content: Mapping[str, Any], classes: int, image: Any) -> Split:
    """(N, H, W, C) images and official labels of one pickle; rows are (C, H, W) flattened."""
    data, labels = content.get("data"), content.get("fine_labels")
    width = int(np.prod(image))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != width:
        raise DamagedData(where, "no such array", f"data of shape (N, {width})", COPY)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise DamagedData(where, "no such list", f"{len(data)} fine_labels", COPY)
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise DamagedData(where, "other labels", f"fine_labels from 0 to {classes - 1}", COPY)
    images = np.ascontiguousarray(data.reshape(-1, *image).transpose(0, 2, 3, 1))
    return images, np.array(labels, dtype=np.int64)


def _check_counts(
    source: Path, splits: Mapping[str, Split], classes: list[str], declaration: Mapping[str, Any]
) -> None:
    """Every class must have its published number of images in every split."""
    expected = declaration["classes"]
    if len(set(classes)) != expected:
        raise DamagedData(source, f"{len(set(classes))} classes", f"{expected}", COPY)
    for split, total in declaration["splits"].items():
        labels = splits[split][1].tolist() if split in splits else []
        found, each = Counter(labels), total // expected
        for label, name in enumerate(classes):
            if found[label] != each:
                where = f"{source}, {split}/{name}"
                raise DamagedData(where, f"{found[label]} images", f"{each}", COPY)
