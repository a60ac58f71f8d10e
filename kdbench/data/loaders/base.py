"""What all loaders share: an order of epochs, and batches by epoch and step."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import EpochOrder, Part


class Loader(ABC):
    """Serves images of a split in batches, each a pure function of (seed, epoch, step).

    Attributes:
        steps: batches in an epoch; a last batch of one image is left out, see `EpochOrder`.
    """

    _index: Any  # positions that are served: an array, or a tensor on the device

    def __init__(
        self, count: int, batch: int, seed: int, steps_per_epoch: int | None, part: Part
    ) -> None:
        self._seed = seed
        self._order = EpochOrder(count, batch, seed, steps_per_epoch=steps_per_epoch, part=part)
        self.steps = self._order.steps

    def __len__(self) -> int:
        """Images that are served, by all ranks."""
        return len(self._index)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Batches of one epoch from step `start` on, augmented."""
        return (self.batch(number, step) for step in range(start, self.steps))

    @abstractmethod
    def batch(self, epoch: int, step: int) -> Batch:
        """One augmented batch, a pure function of its arguments and the loader's seed.

        Raises:
            IndexError: an epoch has no such step.
        """
