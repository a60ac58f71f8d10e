"""Which images a batch has, and which of them a rank: a pure function of (seed, epoch, step)."""

from hashlib import sha256
from typing import NamedTuple

import torch
from torch import Tensor

from kdbench.errors import BadValue


def draws(seed: int, *names: object) -> torch.Generator:
    """A CPU generator of its own for (seed, names), whatever was drawn before."""
    key = "/".join(map(str, (seed, *names)))
    number = int.from_bytes(sha256(key.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(number)


class Part(NamedTuple):
    """Which part of every batch is served: that of one rank of a run.

    All ranks have equally many images, so that the mean over ranks of their means is the batch's.

    Attributes:
        rank: from 0.
        ranks: how many parts there are.
    """

    rank: int = 0
    ranks: int = 1

    def of(self, images: int) -> slice:
        """Places in a batch of so many images; those that would make parts unequal are in none."""
        each = images // self.ranks
        return slice(self.rank * each, (self.rank + 1) * each)

    def in_order(self, images: int, batch: int) -> range:
        """Where the batches begin that this rank measures, of all images one after the other.

        Every image is in one batch of one rank, and the ranks' images lie one after the other.
        """
        starts = range(0, images, batch)
        each = -(-len(starts) // self.ranks)
        return starts[self.rank * each : (self.rank + 1) * each]


WHOLE = Part()


def steps_of(images: int, batch: int, ranks: int = 1) -> int:
    """Batches in an epoch; a last one with a single image per rank is left out: norms need two."""
    whole, remainder = divmod(images, batch)
    return whole + (remainder >= 2 * ranks)


class EpochOrder:
    """The shuffled order of every epoch, cut into batches, and these into parts.

    The order is drawn on the CPU and stays there. The last, smaller batch of an epoch is kept, as
    in the official codes, unless it is a single image per rank. Of several ranks, it has a multiple
    of their number.

    Attributes:
        steps: batches in an epoch.
        part: the part of each batch that is served.
    """

    def __init__(
        self,
        images: int,
        batch: int,
        seed: int,
        *,
        steps_per_epoch: int | None = None,
        part: Part = WHOLE,
    ) -> None:
        """Draw nothing yet.

        Args:
            images: how many there are.
            batch: images in a batch.
            seed: of the order.
            steps_per_epoch: an epoch ends after so many batches, if it has more.
            part: see `Part`.

        Raises:
            BadValue: no batch can be made, or none that has equal parts of two images or more.
        """
        if batch % part.ranks or (part.ranks > 1 and batch < 2 * part.ranks):
            expected = f"a multiple of {part.ranks} ranks, two images or more for each"
            raise BadValue("batch", batch, expected, "set the scale's `ranks`")
        self.part = part
        self.steps = steps_of(images, batch, part.ranks)
        if steps_per_epoch is not None:
            self.steps = min(self.steps, steps_per_epoch)
        if self.steps < 1:
            raise BadValue("batch", batch, f"a size that makes a batch of {images} images")
        self._images, self._batch, self._seed = images, batch, seed
        self._drawn: tuple[int, Tensor] | None = None  # the last epoch and its order

    def bounds(self, step: int) -> slice:
        """Which part of an epoch's order one batch is, of all ranks.

        Raises:
            IndexError: an epoch has no such step.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of an epoch of {self.steps}")
        return slice(step * self._batch, min((step + 1) * self._batch, self._images))

    def places(self, epoch: int, step: int) -> Tensor:
        """(B,) int64 from 0 to the number of images: those of one batch, of all ranks, in order.

        Raises:
            IndexError: an epoch has no such step.
        """
        bounds = self.bounds(step)
        if self._drawn is None or self._drawn[0] != epoch:
            rng = draws(self._seed, "order", epoch)
            self._drawn = epoch, torch.randperm(self._images, generator=rng)
        return self._drawn[1][bounds]

    def own(self, step: int) -> range:
        """The places in a batch that are served: all of them, or those of the rank."""
        bounds = self.bounds(step)
        size = bounds.stop - bounds.start
        return range(size)[self.part.of(size)]
