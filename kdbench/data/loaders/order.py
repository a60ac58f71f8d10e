"""Which images a batch has: a pure function of (seed, epoch, step)."""

from hashlib import sha256

import torch
from torch import Tensor

from kdbench.errors import BadValue


def draws(seed: int, *names: object) -> torch.Generator:
    """A CPU generator of its own for (seed, names), whatever was drawn before."""
    key = "/".join(map(str, (seed, *names)))
    number = int.from_bytes(sha256(key.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(number)


def steps_of(images: int, batch: int) -> int:
    """Batches in an epoch; a last batch of a single image is left out, batch norm needs two."""
    whole, remainder = divmod(images, batch)
    return whole + (remainder > 1)


class EpochOrder:
    """The shuffled order of every epoch, cut into batches.

    The order is drawn on the CPU and stays there. The last, smaller batch of an
    epoch is kept, as in the official codes, unless it is a single image.

    Attributes:
        steps: batches in an epoch.
    """

    def __init__(
        self,
        images: int,
        batch: int,
        seed: int,
        *,
        steps_per_epoch: int | None = None,
    ) -> None:
        """Draw nothing yet.

        Args:
            images: how many there are.
            batch: images in a batch.
            seed: of the order.
            steps_per_epoch: an epoch ends after so many batches, if it has more.

        Raises:
            BadValue: no batch can be made.
        """
        self.steps = steps_of(images, batch)
        if steps_per_epoch is not None:
            self.steps = min(self.steps, steps_per_epoch)
        if self.steps < 1:
            raise BadValue("batch", batch, f"a size that makes a batch of {images} images")
        self._images, self._batch, self._seed = images, batch, seed
        self._drawn: tuple[int, Tensor] | None = None  # the last epoch and its order

    def bounds(self, step: int) -> slice:
        """Which part of an epoch's order one batch is.

        Raises:
            IndexError: an epoch has no such step.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of an epoch of {self.steps}")
        return slice(step * self._batch, min((step + 1) * self._batch, self._images))

    def places(self, epoch: int, step: int) -> Tensor:
        """(B,) int64 from 0 to the number of images: those of one batch, in their order.

        Raises:
            IndexError: an epoch has no such step.
        """
        bounds = self.bounds(step)
        if self._drawn is None or self._drawn[0] != epoch:
            rng = draws(self._seed, "order", epoch)
            self._drawn = epoch, torch.randperm(self._images, generator=rng)
        return self._drawn[1][bounds]
