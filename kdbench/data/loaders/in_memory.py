"""A loader that keeps the whole split on the device: no workers, nothing to save for a resume."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.base import Loader
from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.order import WHOLE, Part, draws
from kdbench.data.loaders.pixels import Normalise, send


class InMemoryLoader(Loader):
    """Batches of a split whose uint8 images lie on the device.

    A batch is a pure function of (seed, epoch, step): an interrupted epoch goes on from any
    step, and every epoch has its own order, crops and flips. Draws are made on the CPU, so all
    devices see the same ones; those of an epoch are made at once and go to the device in one copy,
    so that no step waits for one.
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
        part: Part = WHOLE,
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
            part: the part of each batch that is served, see `kdbench.data.loaders.order`.

        Raises:
            UnknownName: another augmentation.
            BadValue: no batch can be made.
        """
        index = np.arange(len(labels)) if index is None else index
        pixels = np.array(images[index].transpose(0, 3, 1, 2), order="C")
        self._images = torch.from_numpy(pixels).to(device)
        self._labels = torch.from_numpy(np.array(labels[index], dtype=np.int64)).to(device)
        self._index = torch.from_numpy(np.array(index, dtype=np.int64)).to(device)
        self._normalise = Normalise(mean, std, device=device, memory_format=memory_format)
        self._augment = Augment.parse(augment) if isinstance(augment, str) else augment
        super().__init__(len(index), batch, seed, steps_per_epoch, part)
        self._drawn: tuple[int, Tensor] | None = None  # the last epoch and its draws, on the device

    def batch(self, epoch: int, step: int) -> Batch:
        """See `Loader`."""
        bounds, own = self._order.bounds(step), self._order.own(step)
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, send(self._draw(epoch), self._images.device)
        drawn = self._drawn[1][:, bounds][:, own.start : own.stop]
        places, augmentation = drawn[0], drawn[1:]
        return self._serve(self._augment.apply(self._images[places], augmentation), places)

    def _draw(self, epoch: int) -> Tensor:
        """(1 + k, images of the epoch) int64: places, and what `Augment.draw` gives, by step."""
        height, width = self._images.shape[2:]
        steps = []
        for step in range(self.steps):
            places, rng = self._order.places(epoch, step), draws(self._seed, "augment", epoch, step)
            drawn = self._augment.draw(len(places), (height, width), rng)
            steps.append(torch.cat([places[None], drawn]))
        return torch.cat(steps, dim=1)

    def in_order(self, batch: int) -> Iterator[Batch]:
        """All images once, in the order of the prepared split, without augmentation.

        Of several ranks, each serves some of the batches.
        """
        everything = torch.arange(len(self), device=self._labels.device)
        for start in self._order.part.in_order(len(self), batch):
            places = everything[start : start + batch]
            yield self._serve(self._images[places], places)

    def _serve(self, images: Tensor, places: Tensor) -> Batch:
        return Batch(self._normalise(images), self._labels[places], self._index[places])
