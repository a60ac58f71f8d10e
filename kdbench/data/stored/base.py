"""What all forms of prepared data share: the description, and the view without test images."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from kdbench.data.stored.fingerprint import Digests
from kdbench.errors import BadValue, DamagedData, UnknownName
from kdbench.store.prepared import AGAIN, META, read_meta

PartT = TypeVar("PartT")  # what a form of prepared data holds of one split


@dataclass(frozen=True, kw_only=True)
class StoredData(ABC, Generic[PartT]):
    """A prepared data set; its files stay on disk and are memory-mapped, read-only.

    A form of prepared data is a subclass: it has a `FORMAT`, opens a split with `_open_split`, and
    serves the parts of a split by methods of its own.

    Attributes:
        name: the data set whose place this takes.
        classes: class names; a class's number is its position in them.
        fingerprint: hex SHA-256 of the content.
        image: (C, H, W) that loaders serve.
        mean: per channel, in 0..1.
        std: the same.
        stand_in: what these images really are, where they are not `name`'s own.
        folder: where it lies.
        only_training: whether the test split is out of reach.
    """

    FORMAT: ClassVar[str]  # of meta.json

    name: str
    classes: tuple[str, ...]
    fingerprint: str
    image: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stand_in: str | None
    folder: Path = field(compare=False)
    _parts: Mapping[str, PartT] = field(repr=False, compare=False)
    only_training: bool = False

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a prepared folder. Its contents are not hashed: `verify` of its form does that.

        Raises:
            UserError: no data set was prepared there.
            DamagedData: it has another form, or its files do not fit together.
        """
        meta = read_meta(folder)
        if format_of(meta) != cls.FORMAT:
            actual = f"format {format_of(meta)!r}"
            raise DamagedData(folder / META, actual, repr(cls.FORMAT), AGAIN)
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
                _parts={s: cls._open_split(folder, s, n, meta) for s, n in meta["counts"].items()},
                **cls._further(meta),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__} ({error})"
            raise DamagedData(folder / META, reason, "a whole description", AGAIN) from error

    @classmethod
    @abstractmethod
    def _open_split(cls, folder: Path, split: str, count: int, meta: Mapping[str, Any]) -> PartT:
        """Memory-map the files of one split.

        Args:
            folder: of the data set.
            split: its name.
            count: images that it has.
            meta: the description of the data set.

        Raises:
            DamagedData: a file is absent, or not as the description says.
        """

    @classmethod
    def _further(cls, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What a form of prepared data has besides, from its description: by default nothing."""
        return {}

    @abstractmethod
    def digests(self, split: str) -> Digests:
        """(N, 32) uint8 of one split: a SHA-256 for each image, equal where images are equal."""

    def together(self, split: str) -> Digests:
        """(N, 32) uint8 of one split, equal for images that must stay on one side of a split.

        By default those of equal pixels.
        """
        return self.digests(split)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits within reach."""
        return tuple(self._parts)

    def training_only(self) -> Self:
        """The same data without a way to its test split, for everything that makes choices."""
        parts = {split: part for split, part in self._parts.items() if split != "test"}
        return replace(self, _parts=parts, only_training=True)

    def _part(self, split: str) -> PartT:
        """What there is of a split.

        Raises:
            BadValue: the test split, in a view without it.
            UnknownName: there is no such split.
        """
        if split in self._parts:
            return self._parts[split]
        if self.only_training and split == "test":
            reason = "a search must not see test images, so this view serves nothing else"
            known = " or ".join(map(repr, self.splits))
            raise BadValue(f"{self.name}, split", split, known, reason)
        raise UnknownName("split", split, self.splits, where=self.name)

    def compare_fingerprint(self, computed: str) -> str:
        """`computed`, if it is the fingerprint of the description.

        Raises:
            DamagedData: it is another one.
        """
        if computed != self.fingerprint:
            raise DamagedData(self.folder, f"fingerprint {computed}", self.fingerprint, AGAIN)
        return computed


def format_of(meta: Mapping[str, Any]) -> Any:
    """The form of prepared data that a description tells; the oldest descriptions tell none."""
    form = meta.get("format")
    return "arrays" if form is None else form
