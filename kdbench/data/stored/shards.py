"""Prepared data whose images are too large for one array: they stay encoded, in Arrow files."""

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.arrow import (
    AGAIN,
    Content,
    Encoded,
    Row,
    Shard,
    read_rows,
    write_rows,
)
from kdbench.data.stored.fingerprint import Labels
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.store.atomic import whole_folder
from kdbench.store.disk import checksum_of, plain_errors

FORMAT = "shards"
OWN_FILES = re.compile(r"meta\.json|\w+_(images|labels)\.npy|\w+-\d{4,}\.arrow")
COMPUTED = {"format", "fingerprint", "counts", "shards", "classes"}  # keys that `write` sets


@dataclass(frozen=True)
class Sharded:
    """A prepared data set of encoded images: `dataset.Prepared` for images of any size.

    Attributes:
        name: the data set whose place this takes.
        classes: class names; a label is a position in them.
        fingerprint: hex SHA-256 of the content, see `fingerprint`.
        image: (C, H, W) that loaders serve; the encoded images have sizes of their own.
        mean: per channel, in 0..1, as declared.
        std: the same.
        stand_in: what these images really are, where they are not `name`'s own.
        folder: where it lies.
        only_training: whether the test split is out of reach.
    """

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    image: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stand_in: str | None
    folder: Path = field(compare=False)
    _parts: Mapping[str, tuple[Labels, Encoded]] = field(repr=False, compare=False)
    only_training: bool = False

    @classmethod
    def open(cls, folder: Path) -> "Sharded":
        """Open what `write` wrote. Sizes are compared; contents are not hashed: `verify` does that.

        Raises:
            UserError: no data set was prepared there.
            DamagedData: its files do not fit together.
        """
        meta = read_meta(folder)
        try:
            channels, height, width = meta["image"]
            return cls(
                name=meta["name"],
                classes=tuple(meta["classes"]),
                fingerprint=meta["fingerprint"],
                image=(channels, height, width),
                mean=tuple(meta["mean"]),
                std=tuple(meta["std"]),
                stand_in=meta["stand_in"],
                folder=folder,
                _parts={s: _open_split(folder, s, n, meta) for s, n in meta["counts"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found = f"{type(error).__name__} ({error})"
            raise DamagedData(folder / "meta.json", found, "a whole description", AGAIN) from error

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits within reach."""
        return tuple(self._parts)

    def encoded(self, split: str) -> Encoded:
        """The image files of one split by position, each as bytes."""
        return self._split(split)[1]

    def labels(self, split: str) -> Labels:
        """(N,) int64 of one split, memory-mapped and read-only."""
        return self._split(split)[0]

    def training_only(self) -> "Sharded":
        """The same data without a way to its test split, for everything that makes choices."""
        rest = {split: parts for split, parts in self._parts.items() if split != "test"}
        return replace(self, _parts=rest, only_training=True)

    def _split(self, split: str) -> tuple[Labels, Encoded]:
        if split in self._parts:
            return self._parts[split]
        if self.only_training and split == "test":
            reason = "a search must not see test images, so this view serves nothing else"
            known = " or ".join(map(repr, self.splits))
            raise BadValue(f"{self.name}, split", split, known, reason)
        raise UnknownName("split", split, self.splits, where=self.name)


def fingerprint(classes: Sequence[str], splits: Mapping[str, Content]) -> str:
    """Hex SHA-256 of what a data set of encoded images is, whatever source it came from.

    Hashed are, one after the other: the JSON list of the class names; then for each split, in
    order of name, the JSON list [name, "encoded", N], the N labels as little-endian int64, and
    the SHA-256 digests (32 bytes each) of the N images' files. Images are in order of (label,
    digest). Neither names of files nor what else `meta.json` says about classes counts.
    """
    digest = sha256(json.dumps(list(classes)).encode())
    for split, (labels, digests) in sorted(splits.items()):
        digest.update(json.dumps([split, "encoded", len(labels)]).encode())
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(digests).data)
    return digest.hexdigest()


def write(
    folder: Path,
    about: Mapping[str, Any],
    splits: Mapping[str, Iterable[Row]],
    classes: Sequence[str],
    *,
    expected: str | None = None,
) -> str:
    """Write a data set of encoded images; the folder appears whole or not at all.

    Args:
        folder: where; a prepared data set that is already there is replaced.
        about: `name`, `image`, `mean`, `std` and `stand_in` of the data set, see `Sharded`; other
            keys go into `meta.json` as well.
        splits: by name (one is "train"), labels and image files, sorted by (label, SHA-256 of the
            file). They may be generators: few images are in memory at a time.
        classes: class names; a label is a position in them.
        expected: fingerprint that the result must have.

    Returns:
        The fingerprint.

    Raises:
        DamagedData: images out of order, or another fingerprint than expected.
        UserError: the disk is full, or `folder` holds files that are not a data set's.
    """
    _check_place(folder)
    with whole_folder(folder) as draft:
        written = {s: write_rows(draft, s, rows) for s, rows in sorted(splits.items())}
        content = {split: found for split, (_, found) in written.items()}
        digest = fingerprint(classes, content)
        if expected is not None and digest != expected:
            advice = "some image, label or class name is not the published one; use another source"
            raise DamagedData(about["name"], f"fingerprint {digest}", expected, advice)
        meta = {
            "format": FORMAT,
            **about,
            "fingerprint": digest,
            "counts": {split: len(labels) for split, (labels, _) in content.items()},
            "classes": list(classes),
            "shards": {s: [asdict(one) for one in index] for s, (index, _) in written.items()},
        }
        for split, (labels, _) in content.items():
            _save_labels(draft, split, labels)
        (draft / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return digest


def take(data: Sharded, target: Path, kept: Mapping[str, NDArray[np.int64]]) -> str:
    """Write some images of a data set to another folder.

    They are copied, not linked: a share lies scattered over all shards, and a run checks every
    byte of its data folder before use, so it should have those that it uses and no others.

    Args:
        data: where from.
        target: where to.
        kept: sorted positions by split; other splits are taken whole.

    Returns:
        The fingerprint of what is there then.

    Raises:
        DamagedData: an image is not the one that was prepared.
        UserError: the disk is full.
    """
    about = {key: value for key, value in read_meta(data.folder).items() if key not in COMPUTED}
    splits = {}
    for split in data.splits:
        labels = data.labels(split)
        places = kept.get(split, np.arange(len(labels)))
        splits[split] = read_rows(labels, data.encoded(split), places)
    return write(target, about, splits, data.classes)


def verify(folder: Path) -> str:
    """Compute the fingerprint anew from every image's bytes.

    Raises:
        DamagedData: it is not the one in `meta.json`, or a shard is not what its index says.
    """
    data, index = Sharded.open(folder), read_meta(folder)["shards"]
    for shard in (Shard(**entry) for shards in index.values() for entry in shards):
        found = checksum_of(folder / shard.file)
        if found != shard.sha256:
            raise DamagedData(folder / shard.file, f"sha256 {found}", shard.sha256, AGAIN)
    content = {}
    for split in data.splits:
        labels, images = data.labels(split), data.encoded(split)
        rows = read_rows(labels, images, range(len(images)))  # each agrees with its digest
        digests = b"".join(images.digest(place) for place, _ in enumerate(rows))
        content[split] = labels, np.frombuffer(digests, np.uint8)
    found = fingerprint(data.classes, content)
    if found != data.fingerprint:
        raise DamagedData(folder, f"fingerprint {found}", data.fingerprint, AGAIN)
    return found


def read_meta(folder: Path) -> dict[str, Any]:
    """The description of a prepared data set.

    Raises:
        UserError: there is none.
        DamagedData: it is no JSON object.
    """
    path = folder / "meta.json"
    if not path.is_file():
        raise UserError(f"{folder}: no prepared data set here (no meta.json); {AGAIN}")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedData(path, f"no JSON ({error})", "a JSON object", AGAIN) from error
    if not isinstance(meta, dict):
        raise DamagedData(path, f"a {type(meta).__name__}", "a JSON object", AGAIN)
    return meta


def _check_place(folder: Path) -> None:
    """Never replace a folder that holds anything but a prepared data set."""
    with plain_errors(folder):
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    foreign = sorted(name for name in names if not OWN_FILES.fullmatch(name))
    if foreign:
        advice = "choose another folder"
        raise BadValue(str(folder), foreign[0], "an empty place or a prepared data set", advice)


def _save_labels(folder: Path, split: str, labels: Labels) -> None:
    file = io.BytesIO()  # np.save's own error on a full disk does not say that the disk is full
    np.save(file, labels, allow_pickle=False)
    (folder / f"{split}_labels.npy").write_bytes(file.getvalue())


def _open_split(
    folder: Path, split: str, count: int, meta: Mapping[str, Any]
) -> tuple[Labels, Encoded]:
    """Labels and images of one split, whose files must be there in their full length."""
    shards = [Shard(**entry) for entry in meta["shards"][split]]
    for shard in shards:
        path = folder / shard.file
        size = path.stat().st_size if path.is_file() else None
        if size != shard.bytes:
            found = "no such file" if size is None else f"{size} bytes"
            raise DamagedData(path, found, f"{shard.bytes} bytes", AGAIN)
    images, path = Encoded(folder, shards), folder / f"{split}_labels.npy"
    try:
        labels: Labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedData(path, f"no whole array ({error})", f"{count} labels", AGAIN) from error
    if labels.dtype != np.int64 or labels.shape != (count,) or len(images) != count:
        found = f"{labels.dtype} {labels.shape} for {len(images)} images"
        raise DamagedData(path, found, f"{count} int64 labels", AGAIN)
    return labels, images
