"""A loader of images with maps: each pair is read from the disk and moved as one."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdbench.data.loaders.base import Loader
from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.joint import Joint
from kdbench.data.loaders.modality import RGB, Modality
from kdbench.data.loaders.order import WHOLE, Part, draws
from kdbench.data.loaders.pixels import Normalise
from kdbench.data.stored.maps import DEPTH_UNIT, Mapped
from kdbench.data.stored.open import Stored
from kdbench.errors import BadValue
from kdbench.exhibits.recipe import Recipe
from kdbench.exhibits.tasks import DEPTH, IGNORED, NO_DEPTH


class MappedLoader(Loader):
    """Batches of a split whose images have maps.

    A batch is a pure function of (seed, epoch, step), whoever makes it: every image has draws of
    its own, of the epoch, the step and its place in the batch. Its labels are the maps: (B, H, W)
    int64 classes, or float32 metres.
    """

    def __init__(
        self,
        data: Mapped,
        split: str,
        *,
        batch: int,
        augment: str,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
        steps_per_epoch: int | None = None,
        index: NDArray[np.int64] | None = None,
        part: Part = WHOLE,
        modality: str = RGB,
    ) -> None:
        """Read nothing yet.

        Args:
            data: a prepared data set.
            split: which of its splits.
            batch: images in a batch.
            augment: what happens to an image and its map, see `kdbench.data.loaders.joint`.
            mean: per channel, in 0..1.
            std: the same.
            seed: of the order and of the augmentation.
            device: where batches go.
            memory_format: of a batch's images.
            steps_per_epoch: an epoch ends after so many batches, if it has more.
            index: positions to serve; by default all.
            part: the part of each batch that is served, see `kdbench.data.loaders.order`.
            modality: what a batch's images are, see `kdbench.data.loaders.modality`.

        Raises:
            UnknownName: another augmentation or modality.
            BadValue: no batch can be made, or images without depths are to show some.
        """
        self._images, self._maps = data.images(split), data.maps(split)
        self._depth = data.task == DEPTH
        self._joint = Joint.parse(augment)
        self._joint.output(*data.image[1:])
        self._modality = Modality.parse(modality)
        if self._modality.samples and not self._depth:
            raise BadValue("modality", modality, RGB, f"{data.name} has no depths")
        self._index = np.arange(len(self._images)) if index is None else np.asarray(index)
        self._device = torch.device(device)
        self._normalise = Normalise(mean, std, device=device, memory_format=memory_format)
        super().__init__(len(self._index), batch, seed, steps_per_epoch, part)

    def batch(self, epoch: int, step: int) -> Batch:
        """See `Loader`."""
        own = self._order.own(step)
        places = self._order.places(epoch, step)[own.start : own.stop].tolist()
        generators = [draws(self._seed, "augment", epoch, step, place) for place in own]
        return self._serve(places, generators)

    def in_order(self, batch: int) -> Iterator[Batch]:
        """All images once, in the order of the prepared split, in the view of the evaluation.

        Of several ranks, each serves some of the batches.
        """
        for start in self._order.part.in_order(len(self), batch):
            places = range(start, min(start + batch, len(self)))
            yield self._serve(places, [draws(self._seed, "view", place) for place in places])

    def _serve(self, places: Sequence[int], generators: Sequence[torch.Generator]) -> Batch:
        positions = self._index[np.asarray(places)]
        pairs = [
            self._pair(position, rng) for position, rng in zip(positions, generators, strict=True)
        ]
        pixels, maps = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        images = self._modality.seen(self._normalise(pixels), maps, generators)
        index = torch.from_numpy(positions.astype(np.int64))
        return Batch(images, maps.to(self._device), index.to(self._device))

    def _pair(self, position: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """An image (3, h, w) uint8 and its map (h, w), moved together."""
        image = torch.from_numpy(self._images[position].transpose(2, 0, 1).copy())
        numbers = np.asarray(self._maps[position])
        if self._depth:
            a_map = torch.from_numpy(numbers.astype(np.float32) * np.float32(DEPTH_UNIT))
            return self._joint(image, a_map, rng, depth=True, fill=int(NO_DEPTH))
        moved, mask = self._joint(
            image, torch.from_numpy(numbers.copy()), rng, depth=False, fill=IGNORED
        )
        return moved, mask.long()


def image_in_training(data: Stored, recipe: Recipe) -> tuple[int, int, int]:
    """(C, H, W) of what a network learns from: of images with maps, their crops.

    Losses that fit maps to each other are made for these; other sizes may be measured on.
    """
    return _in_view(data, recipe, recipe.augment) if isinstance(data, Mapped) else data.image


def image_measured(data: Stored, recipe: Recipe) -> tuple[int, int, int]:
    """(C, H, W) of what a network is measured on."""
    return _in_view(data, recipe, recipe.view or "none") if isinstance(data, Mapped) else data.image


def _in_view(data: Mapped, recipe: Recipe, view: str) -> tuple[int, int, int]:
    channels, height, width = data.image
    seen = Modality.parse(recipe.modality).channels(channels)
    return (seen, *Joint.parse(view).output(height, width))
