"""Labelled pictures of one's own: class folders, or parquet files as Hugging Face writes them."""

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from kdbench.data.ingest.decode import Picture
from kdbench.errors import BadValue, DamagedData, UserError
from kdbench.store.disk import plain_errors

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "valid"),
    "test": "test",
}
SUFFIXES = (".png", ".webp", ".bmp", ".jpg", ".jpeg")
EXPECTED = "train/<class>/ and test/<class>/ of pictures, <class>/ alone, or train-*.parquet"
BATCH = 64  # rows of a parquet file that are in memory at a time


def own_pictures(source: Path, declared: Mapping[str, Any]) -> Iterator[Picture]:
    """Every picture of a source, with its split and class; the bytes of its file.

    A source without test images gives those of "valid" as "test". One without either has a share
    of every class taken out of "train": those whose SHA-256 come first, so that the choice is the
    same everywhere and equal files are on one side.

    Args:
        source: a folder.
        declared: `test_share`, and for parquet `keys`, the columns `image` and `label`.

    Raises:
        UserError: no such layout.
        DamagedData: a parquet file is damaged, or hides its labels.
        BadValue: no test images, and no share of them.
    """
    files = _parquet_by_split(source)
    names = {split for split, _ in files} if files else set(_folders(source))
    if not names:
        raise UserError(f"{source}: found no pictures, expected {EXPECTED}")
    renamed = {"valid": "test"} if "test" not in names else {}
    pictures = (
        _in_parquet(files, declared.get("keys", {})) if files else _in_folders(_folders(source))
    )
    if names & {"test", "valid"}:
        yield from (p._replace(split=renamed.get(p.split, p.split)) for p in pictures)
        return
    share = declared.get("test_share", 0.0)
    if not 0 < share < 1:
        expected = "a share of the images between 0 and 1, because there are no test images"
        advice = "kdbench data new: give --test-share 0.2"
        raise BadValue(f"{source}, test_share", share, expected, advice)
    yield from _with_tests(list(pictures), share)


def _with_tests(pictures: list[Picture], share: float) -> Iterator[Picture]:
    """The pictures, of which a share of every class has the split "test"."""
    digests = [sha256(bytes(picture.data)).hexdigest() for picture in pictures]
    by_class: dict[str, set[str]] = {}
    for picture, digest in zip(pictures, digests, strict=True):
        by_class.setdefault(picture.label, set()).add(digest)
    tests = {
        label: set(sorted(known)[: max(1, round(share * len(known)))])
        for label, known in by_class.items()
    }
    for picture, digest in zip(pictures, digests, strict=True):
        yield picture._replace(split="test") if digest in tests[picture.label] else picture


def _folders(source: Path) -> dict[str, Path]:
    """The folder of class folders of every split; "train" alone where there are no splits."""
    with plain_errors(source):
        inside = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    splits = {SPLITS[path.name.lower()]: path for path in inside if path.name.lower() in SPLITS}
    return splits if "train" in splits else {"train": source} if inside and not splits else {}


def _in_folders(folders: Mapping[str, Path]) -> Iterator[Picture]:
    for split, folder in folders.items():
        with plain_errors(folder):
            paths = sorted(path for path in folder.glob("*/*") if _is_picture(path))
        for path in paths:
            with plain_errors(path):
                yield Picture(split, path.parent.name, str(path), path.read_bytes())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _parquet_by_split(source: Path) -> list[tuple[str, Path]]:
    """The parquet files, each with the split that its name or its folder's begins with."""
    with plain_errors(source):
        paths = sorted(source.rglob("*.parquet"))
    return [(_split_of(path), path) for path in paths]


def _split_of(path: Path) -> str:
    for name in (path.stem, path.parent.name):
        first = name.lower().replace("_", "-").partition("-")[0]
        if first in SPLITS:
            return SPLITS[first]
    expected = "a name that begins with train, validation or test"
    raise BadValue(str(path), path.name, expected, "rename the file")


def _in_parquet(files: list[tuple[str, Path]], keys: Mapping[str, str]) -> Iterator[Picture]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split, path in files:
        try:
            file = pq.ParquetFile(path)
            image, label = _columns(path, file.schema_arrow, keys)
            names = _class_names(file.schema_arrow, label)
            number = 0
            for batch in file.iter_batches(BATCH, columns=[image, label]):
                for row in batch.to_pylist():
                    where = f"{path}, row {number}"
                    yield Picture(
                        split, _name(where, row[label], names), where, _bytes(where, row[image])
                    )
                    number += 1
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:100]
            raise DamagedData(path, reason, "a parquet file", "get it again") from None


def _columns(path: Path, schema: Any, keys: Mapping[str, str]) -> tuple[str, str]:
    """The columns of images and labels: as declared, else the only ones that can be."""
    import pyarrow as pa

    kinds: dict[str, Callable[[Any], bool]] = {
        "image": lambda t: pa.types.is_struct(t) or pa.types.is_binary(t),
        "label": lambda t: pa.types.is_integer(t) or pa.types.is_string(t),
    }
    chosen = []
    for role, fits in kinds.items():
        known = [field.name for field in schema if fits(field.type)]
        name = keys.get(role) or (role if role in known else known[0] if len(known) == 1 else "")
        if name not in schema.names:
            advice = f'write {role} = "..." under [keys] of its declaration, or give --{role}'
            raise BadValue(f"{path}, {role}", name or known, "the column of it", advice)
        chosen.append(name)
    return chosen[0], chosen[1]


def _class_names(schema: Any, label: str) -> list[str]:
    """The names of the labels that Hugging Face's metadata list; none where they do not."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = told["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _name(where: str, label: Any, names: list[str]) -> str:
    if label is None or (isinstance(label, int) and label < 0):
        advice = "a split with hidden labels measures nothing; take its files away"
        raise DamagedData(where, f"label {label}", "a class", advice)
    return names[label] if isinstance(label, int) and label < len(names) else str(label)


def _bytes(where: str, cell: Any) -> bytes:
    """The file of a picture: a binary cell, or the "bytes" of Hugging Face's image."""
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(data, bytes):
        advice = "embed the images in the file (datasets: embed_external_files)"
        raise DamagedData(where, "no picture", "the bytes of a picture", advice)
    return data
