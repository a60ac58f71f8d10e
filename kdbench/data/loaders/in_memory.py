"""A loader that keeps the whole split on the device: no workers, nothing to save for a resume."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.batch import Batch
from kdbench.errors import BadValue


def draws(seed: int, *names: object) -> torch.Generator:
    """A CPU generator of its own for (seed, names), whatever was drawn before."""
    key = "/".join(map(str, (seed, *names)))
    number = int.from_bytes(sha256(key.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(number)


class InMemoryLoader:
    """JobGroups of a split whose uint8 images lie on the device.

    A batch is a pure function of (seed, epoch, step): an interrupted epoch goes on from any
    step, and every epoch has its own order, crops and flips. Draws are made on the CPU, so all
    devices see the same ones. The last, smaller batch of an epoch is kept, as in the official
    codes, unless it is a single image, which batch norm could not use.

    Attributes:
        steps: batches in an epoch.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        batch: int,
        augment: Augment | str,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
        steps_per_epoch: int | None = None,
        index: NDArray[np.int64] | None = None,
    ) -> None:
        """Copy the images to the device.

        Args:
            images: (N, H, W, C) of a prepared split.
            labels: (N,) of the same.
            batch: images in a batch.
            augment: what happens to training images; or its name.
            mean: per channel, in 0..1.
            std: the same.
            seed: of the order and of the augmentation.
            device: where batches are made.
            memory_format: of a batch's images.
            steps_per_epoch: an epoch ends after so many batches, if it has more.
            index: positions to serve; by default all.

        Raises:
            BadValue: no batch can be made.
        """
        index = np.arange(len(labels)) if index is None else index
        pixels = np.array(images[index].transpose(0, 3, 1, 2), order="C")
        self._images = torch.from_numpy(pixels).to(device)
        self._labels = torch.from_numpy(np.array(labels[index], dtype=np.int64)).to(device)
        self._index = torch.from_numpy(np.array(index, dtype=np.int64)).to(device)
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._augment = Augment.parse(augment) if isinstance(augment, str) else augment
        self._batch, self._seed, self._format = batch, seed, memory_format
        self._order: tuple[int, Tensor] | None = None
        self.steps = steps_of(len(index), batch)
        if steps_per_epoch is not None:
            self.steps = min(self.steps, steps_per_epoch)
        if self.steps < 1:
            raise BadValue("batch", batch, f"a size that makes a batch of {len(index)} images")

    def __len__(self) -> int:
        """Images that are served."""
        return len(self._labels)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """JobGroups of one epoch from step `start` on, augmented."""
        return (self.batch(number, step) for step in range(start, self.steps))

    def batch(self, epoch: int, step: int) -> Batch:
        """One augmented batch, a pure function of its arguments and the loader's seed."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of an epoch of {self.steps}")
        chosen = self._permutation(epoch)[step * self._batch : (step + 1) * self._batch]
        rng = draws(self._seed, "augment", epoch, step)
        return self._serve(self._augment(self._images[chosen], rng), chosen)

    def in_order(self, batch: int) -> Iterator[Batch]:
        """All images once, in the order of the prepared split, without augmentation."""
        everything = torch.arange(len(self), device=self._labels.device)
        for chosen in everything.split(batch):
            yield self._serve(self._images[chosen], chosen)

    def _permutation(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(len(self), generator=draws(self._seed, "order", epoch))
            self._order = epoch, order.to(self._labels.device)
        return self._order[1]

    def _serve(self, images: Tensor, chosen: Tensor) -> Batch:
        """Normalise as torchvision does, operation by operation, so that bits agree."""
        pixels = images.to(torch.float32, memory_format=self._format).div_(255)
        pixels = pixels.sub_(self._mean).div_(self._std)
        return Batch(pixels, self._labels[chosen], self._index[chosen])


def steps_of(images: int, batch: int) -> int:
    """JobGroups in an epoch; a last batch of a single image is left out."""
    whole, rest = divmod(images, batch)
    return whole + (rest > 1)
