"""Prepared data whose images are too large for one array: they stay encoded, in Arrow files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.arrow import (
    Content,
    Encoded,
    Row,
    Shard,
    read_rows,
    write_rows,
)
from kdbench.data.stored.base import StoredData
from kdbench.data.stored.files import (
    check_place,
    map_array,
    save_array,
    write_meta,
)
from kdbench.data.stored.fingerprint import Digests, Labels
from kdbench.data.stored.validation import check_result
from kdbench.errors import DamagedData
from kdbench.store.atomic import whole_folder
from kdbench.store.disk import checksum_of
from kdbench.store.prepared import AGAIN, read_meta

# Keys of `meta.json` that `write` sets, or that are counted afterwards.
COMPUTED = {"format", "fingerprint", "counts", "shards", "classes", "twins"}
EncodedSplit: TypeAlias = tuple[Encoded, Labels]


@dataclass(frozen=True, kw_only=True)
class Sharded(StoredData[EncodedSplit]):
    """A prepared data set of encoded images, which have any size.

    `mean` and `std` are as declared; `fingerprint` is that of the function of this name.
    """

    FORMAT: ClassVar[str] = "shards"

    def encoded(self, split: str) -> Encoded:
        """The image files of one split by position, each as bytes."""
        return self._part(split)[0]

    def labels(self, split: str) -> Labels:
        """(N,) int64 of one split, memory-mapped and read-only."""
        return self._part(split)[1]

    def digests(self, split: str) -> Digests:
        """Of the encoded files, see `StoredData.digests`; as they stand beside the images."""
        return self.encoded(split).digests()

    @classmethod
    def _open_split(
        cls, folder: Path, split: str, count: int, meta: Mapping[str, Any]
    ) -> EncodedSplit:
        """Images and labels of one split, whose files must be there in their full length."""
        shards = [Shard(**entry) for entry in meta["shards"][split]]
        for shard in shards:
            path = folder / shard.file
            size = path.stat().st_size if path.is_file() else None
            if size != shard.bytes:
                actual = "no such file" if size is None else f"{size} bytes"
                raise DamagedData(path, actual, f"{shard.bytes} bytes", AGAIN)
        images, path = Encoded(folder, shards), folder / f"{split}_labels.npy"
        labels = map_array(path, (count,), np.int64)
        if len(images) != count:
            raise DamagedData(
                path, f"{count} labels", f"one for each of {len(images)} images", AGAIN
            )
        return images, labels


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
    check_place(folder)
    with whole_folder(folder) as draft:
        written = {s: write_rows(draft, s, rows) for s, rows in sorted(splits.items())}
        content = {split: labels_and_digests for split, (_, labels_and_digests) in written.items()}
        digest = fingerprint(classes, content)
        check_result({"name": about["name"], "fingerprint": digest}, {"fingerprint": expected})
        meta = {
            "format": Sharded.FORMAT,
            **about,
            "fingerprint": digest,
            "counts": {split: len(labels) for split, (labels, _) in content.items()},
            "classes": list(classes),
            "shards": {s: [asdict(one) for one in index] for s, (index, _) in written.items()},
        }
        for split, (labels, _) in content.items():
            save_array(draft / f"{split}_labels.npy", labels)
        write_meta(draft, meta)
    return digest


def take(data: Sharded, target: Path, chosen: Mapping[str, NDArray[np.int64]]) -> str:
    """Write some images of a data set to another folder.

    They are copied, not linked: a share lies scattered over all shards, and a run checks every
    byte of its data folder before use, so it should have those that it uses and no others.

    Args:
        data: where from.
        target: where to.
        chosen: sorted positions by split; other splits are taken whole.

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
        places = chosen.get(split, np.arange(len(labels)))
        splits[split] = read_rows(labels, data.encoded(split), places)
    return write(target, about, splits, data.classes)


def verify(folder: Path) -> str:
    """Compute the fingerprint anew from every image's bytes.

    Raises:
        DamagedData: it is not the one in `meta.json`, or a shard is not what its index says.
    """
    data, index = Sharded.open(folder), read_meta(folder)["shards"]
    for shard in (Shard(**entry) for shards in index.values() for entry in shards):
        computed = checksum_of(folder / shard.file)
        if computed != shard.sha256:
            raise DamagedData(folder / shard.file, f"sha256 {computed}", shard.sha256, AGAIN)
    content = {}
    for split in data.splits:
        labels, images = data.labels(split), data.encoded(split)
        rows = read_rows(labels, images, range(len(images)))  # each agrees with its digest
        digests = b"".join(images.digest(place) for place, _ in enumerate(rows))
        content[split] = labels, np.frombuffer(digests, np.uint8)
    return data.compare_fingerprint(fingerprint(data.classes, content))
