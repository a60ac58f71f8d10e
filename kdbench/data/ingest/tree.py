"""The files of a source by their paths inside, whether it is a folder or an archive."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from kdbench.data.ingest.archive import LARGEST, members
from kdbench.store.disk import plain_errors


class File(NamedTuple):
    """A file of a tree: its path inside (with "/"), its place for errors, its bytes."""

    name: str
    where: str
    data: bytes


class Tree(Protocol):
    """Files in a folder or an archive."""

    @property
    def path(self) -> Path:
        """The folder or the archive."""
        ...

    def read(self, *shapes: str, suffixes: Collection[str] = ()) -> Iterator[File]:
        """The files whose paths have one of these shapes.

        Args:
            shapes: paths in which "*" stands for any one name: "train/*/*".
            suffixes: as ".png", in any case; only visible files that end so are given.

        Raises:
            DamagedData: the archive is broken or not to be trusted, see `archive.members`.
            UserError: a file cannot be read.
        """
        ...

    def names(self, *shapes: str) -> Iterator[str]:
        """The paths of one of these shapes, see `read`; no file is read."""
        ...


@dataclass(frozen=True)
class FolderTree:
    """The files of a folder."""

    path: Path

    def read(self, *shapes: str, suffixes: Collection[str] = ()) -> Iterator[File]:
        """See `Tree.read`."""
        for shape in shapes:
            with plain_errors(self.path):
                paths = sorted(p for p in self.path.glob(shape) if _ends_so(p.name, suffixes))
            for path in paths:
                with plain_errors(path):
                    data = path.read_bytes() if path.is_file() else None
                if data is not None:
                    yield File(path.relative_to(self.path).as_posix(), str(path), data)

    def names(self, *shapes: str) -> Iterator[str]:
        """See `Tree.names`."""
        with plain_errors(self.path):
            for shape in shapes:
                yield from (p.relative_to(self.path).as_posix() for p in self.path.glob(shape))


@dataclass(frozen=True)
class ArchiveTree:
    """The files of an archive, which may lie in one folder of any name inside, or in two.

    Attributes:
        path: the archive.
        largest: bytes that it may unpack to.
    """

    path: Path
    largest: int = LARGEST

    def read(self, *shapes: str, suffixes: Collection[str] = ()) -> Iterator[File]:
        """See `Tree.read`."""
        split = [shape.split("/") for shape in shapes]

        def inside(name: str) -> str | None:
            return _inside(name, split, suffixes)

        chosen = members(self.path, lambda name: inside(name) is not None, largest=self.largest)
        for name, data in chosen:
            yield File(inside(name) or name, f"{self.path}, member {name!r}", data)

    def names(self, *shapes: str) -> Iterator[str]:
        """See `Tree.names`."""
        split = [shape.split("/") for shape in shapes]
        paths: list[str] = []

        def note(name: str) -> bool:
            path = _inside(name, split, ())
            paths.extend([path] if path else [])
            return False

        list(members(self.path, note, largest=self.largest))
        yield from paths


def _inside(name: str, shapes: list[list[str]], suffixes: Collection[str]) -> str | None:
    """A member's path below the folders that all lie in, if it has one of the shapes."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or not _ends_so(parts[-1], suffixes):
        return None
    for start in (0, 1, 2):
        if any(_fits(parts[start:], shape) for shape in shapes):
            return "/".join(parts[start:])
    return None


def _ends_so(name: str, suffixes: Collection[str]) -> bool:
    if not suffixes:
        return True
    return not name.startswith(".") and name.lower().endswith(tuple(suffixes))


def _fits(parts: list[str], shape: list[str]) -> bool:
    return len(parts) == len(shape) and all(
        pattern in ("*", part) for part, pattern in zip(parts, shape, strict=True)
    )
