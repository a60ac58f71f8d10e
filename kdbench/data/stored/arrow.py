"""The Arrow files of one split: encoded images as they came, each with its digest."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kdbench.data.stored.fingerprint import Digests, Labels
from kdbench.errors import DamagedData
from kdbench.store.disk import checksum_of
from kdbench.store.prepared import AGAIN

Row: TypeAlias = tuple[int, bytes]  # label, an encoded image
Content: TypeAlias = tuple[Labels, NDArray[np.uint8]]  # (N,) labels, (N, 32) SHA-256 of the images

# The digest beside each image lets a check name the image that is damaged. Labels are one array
# for the whole split, as in `arrays`, because splits and shares are chosen from it.
SCHEMA = pa.schema([("image", pa.binary()), ("sha256", pa.binary(32))])
# A writer holds one batch in memory, so it should be small; every batch costs a reader some
# microseconds, so there should be few. 8 MiB are some 70 images of ImageNet.
BATCH_BYTES = 8 << 20
# Small enough to copy, check or fetch again alone; large enough for ImageNet to be 550 files.
SHARD_BYTES = 256 << 20


@dataclass(frozen=True)
class Shard:
    """A file of a split: its name, images, SHA-256 and size."""

    file: str
    rows: int
    sha256: str
    bytes: int


class Encoded(Sequence[bytes]):
    """The encoded images of one split, read from memory-mapped files; a copy for each access.

    Files are opened when they are first needed and hold no descriptor. A pickle has their paths
    only, so that every process of a loader maps them anew.
    """

    def __init__(self, folder: Path, shards: Iterable[Shard]) -> None:
        self._folder, self._shards = folder, tuple(shards)
        self._starts = np.cumsum([0, *(shard.rows for shard in self._shards)])
        self._tables: dict[int, pa.Table] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, position: Any) -> Any:
        """The bytes of the file that one image came as.

        Raises:
            IndexError: no such position; slices and negative ones are not understood.
            DamagedData: its shard is broken.
        """
        return self._value("image", position)

    def digest(self, position: int) -> bytes:
        """The SHA-256 that was written beside an image; not computed from it."""
        return self._value("sha256", position)

    def digests(self) -> Digests:
        """The same of all images, (N, 32); one shard's are read at a time."""
        parts = [read_shard(self._folder, shard)["sha256"] for shard in self._shards]
        joined = b"".join(value for part in parts for value in part.to_pylist())
        return np.frombuffer(joined, np.uint8).reshape(-1, 32)

    def where(self, position: int) -> str:
        """The shard of an image and its place there, for errors."""
        number, row = self._place(position)
        return f"{self._folder / self._shards[number].file}, image {row}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": {}}

    def _value(self, column: str, position: int) -> bytes:
        number, row = self._place(position)
        if number not in self._tables:
            self._tables[number] = read_shard(self._folder, self._shards[number])
        value: bytes = self._tables[number][column][row].as_py()
        return value

    def _place(self, position: int) -> tuple[int, int]:
        """Shard, and row in it."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} images")
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        return number, int(position - self._starts[number])


def read_shard(folder: Path, shard: Shard) -> pa.Table:
    """Memory-map a shard; columns "image" and "sha256".

    Raises:
        DamagedData: absent, broken, or not as its index says.
    """
    path, expected = folder / shard.file, f"{shard.rows} images in an Arrow file"
    try:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            table = reader.read_all() if reader.schema.equals(SCHEMA) else None
        if table is not None:
            table.validate(full=True)  # or an offset that leads nowhere would end the process
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = f"a broken file ({' '.join(str(error).split())[:120]})"
        raise DamagedData(path, reason, expected, AGAIN) from error
    if table is None or table.num_rows != shard.rows:
        actual = "other columns" if table is None else f"{table.num_rows} images"
        raise DamagedData(path, actual, expected, AGAIN)
    return table


def read_rows(labels: Labels, images: Encoded, positions: Iterable[int]) -> Iterator[Row]:
    """Images at the given positions, each compared with the digest beside it.

    Raises:
        DamagedData: an image is not the one that was prepared.
    """
    for position in positions:
        image = images[position]
        computed, written = sha256(image).digest(), images.digest(position)
        if computed != written:
            actual, expected = f"sha256 {computed.hex()}", written.hex()
            raise DamagedData(images.where(position), actual, expected, AGAIN)
        yield int(labels[position]), image


def write_rows(folder: Path, split: str, rows: Iterable[Row]) -> tuple[list[Shard], Content]:
    """Write images, which must come sorted by (label, SHA-256), to `<split>-<n>.arrow`.

    Returns:
        The shards, and the labels and digests of all images.

    Raises:
        DamagedData: out of order; whoever sorted them saw other bytes.
        OSError: the disk is full.
    """
    writer, labels, digests = _Writer(folder, split), [], bytearray()
    last = (-1, b"")
    with writer.closing():
        for label, image in rows:
            here = label, sha256(image).digest()
            if here < last:
                where, expected = f"{split} images, class {label}", "the same bytes at every look"
                raise DamagedData(where, "another content than before", expected, "try again")
            last = here
            writer.add(image, here[1])
            labels.append(label)
            digests += here[1]
    content = np.frombuffer(bytes(digests), np.uint8).reshape(-1, 32)
    return writer.shards, (np.array(labels, dtype=np.int64), content)


class _Writer:
    """Appends images to shards, starting a new one when the last is full."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        self._images: list[bytes] = []
        self._digests: list[bytes] = []
        self._waiting = self._written = self._rows = 0
        self._file: Any = None
        self._arrow: Any = None
        self.shards: list[Shard] = []

    def add(self, image: bytes, digest: bytes) -> None:
        self._images.append(image)
        self._digests.append(digest)
        self._waiting += len(image)
        if self._waiting >= BATCH_BYTES:
            self._flush()
        if self._written >= SHARD_BYTES:
            self._end_shard()

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Write what is left when the block ends well; let go of the file in any case."""
        try:
            yield
            self._flush()
            self._end_shard()
        finally:
            if self._file is not None:
                self._file.close()

    def _flush(self) -> None:
        if not self._images:
            return
        if self._file is None:
            name = f"{self._split}-{len(self.shards):04d}.arrow"
            self._file = (self._folder / name).open("wb")
            self._arrow = pa.ipc.new_file(self._file, SCHEMA)
        columns = [pa.array(self._images, pa.binary()), pa.array(self._digests, pa.binary(32))]
        self._arrow.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._rows += len(self._images)
        self._written += self._waiting
        self._images, self._digests, self._waiting = [], [], 0

    def _end_shard(self) -> None:
        if self._file is None:
            return
        self._arrow.close()
        self._file.close()
        path = Path(self._file.name)
        shard = Shard(path.name, self._rows, checksum_of(path), path.stat().st_size)
        self.shards.append(shard)
        self._file, self._rows, self._written = None, 0, 0
