"""What takes the place of data and of finished runs: random images, weights of no training."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import nn

from kdbench.data.loaders.mapped import image_in_training
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.fingerprint import Digests, Images
from kdbench.data.stored.maps import TYPES, Mapped, MappedSplit
from kdbench.data.stored.open import Stored
from kdbench.engine.precision import Precision
from kdbench.exhibits.tasks import CLASSIFICATION
from kdbench.models.stages import StagedNetwork
from kdbench.models.view import Shape
from kdbench.runs import assemble
from kdbench.runs.estimate.lengths import DataSize
from kdbench.runs.job import BEST, LAST, Inputs
from kdbench.runs.training import save_weights
from kdbench.store.parts import Network
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun
from kdbench.store.teacher_runs import AnyTeacher, DataRun

GREY = 0.5  # mean and deviation of the noise
LARGE = 64  # pixels of a side; a pass of larger images takes seconds each


class Noise(Prepared):
    """A data set of random images of which no two are equal; it lies in no folder."""

    def digests(self, split: str) -> Digests:
        """(N, 32), all different."""
        numbers = np.arange(4 * len(self.labels(split)), dtype=np.uint64).reshape(-1, 4)
        return numbers.view(np.uint8)


class MappedNoise(Mapped):
    """The same with a map for every image."""

    def digests(self, split: str) -> Digests:
        """(N, 32), all different."""
        return Noise.digests(self, split)  # type: ignore[arg-type]  # reads the labels alone


Size: TypeAlias = tuple[tuple[int, int, int], int, tuple[tuple[str, int], ...], str]


@cache
def noise(name: str, size: Size) -> Noise | MappedNoise:
    """A data set of this size.

    Args:
        name: of the data set whose place it takes.
        size: (C, H, W), number of classes, images by split, task.
    """
    image, classes, counts, task = size
    about: dict[str, Any] = {
        "name": name,
        "classes": tuple(map(str, range(classes))),
        "fingerprint": "noise",
        "image": image,
        "mean": (GREY,) * image[0],
        "std": (GREY,) * image[0],
        "stand_in": "noise",
        "folder": Path(),
    }
    if task == CLASSIFICATION:
        labels = {split: np.arange(count, dtype=np.int64) % classes for split, count in counts}
        parts = {split: (_pixels(count, image), labels[split]) for split, count in counts}
        return Noise(**about, _parts=parts)
    mapped = {split: _mapped(count, image, classes, task) for split, count in counts}
    return MappedNoise(**about, _parts=mapped, task=task, parted=True)


def _mapped(count: int, image: tuple[int, int, int], classes: int, task: str) -> MappedSplit:
    """Random images, each with the same map."""
    one = np.arange(image[1] * image[2]).reshape(1, *image[1:]) % max(2, classes)
    maps = np.broadcast_to(one.astype(TYPES[task]), (count, *image[1:]))
    return MappedSplit(_pixels(count, image), maps, np.arange(count, dtype=np.int64))


def noise_like(name: str, size: DataSize) -> Noise | MappedNoise:
    """A data set of the size of another one."""
    return noise(name, (size.image, size.classes, tuple(size.counts.items()), size.task))


def _pixels(count: int, image: tuple[int, int, int]) -> Images:
    """(N, H, W, C) random bytes; an image is the one before it, shifted by a byte.

    So they take next to no memory, however many there are.
    """
    channels, height, width = image
    drawn = np.random.default_rng(0).integers(0, 256, count + channels * height * width, np.uint8)
    shape = (count, height, width, channels)
    strides = (1, width * channels, channels, 1)
    return as_strided(drawn, shape, strides, writeable=False)


@dataclass
class NoiseInputs(Inputs):
    """What a run reads, as far as it is not there: made of noise, in a folder of its own.

    Attributes:
        scratch: that folder.
        sizes: gives the size of a run's data.
        precision: number format and device.
        blank: saves into a folder what a search finds before its first step.
    """

    scratch: Path = field(kw_only=True)
    sizes: Callable[[DataRun], DataSize] = field(kw_only=True)
    precision: Precision = field(kw_only=True)
    blank: Callable[[SearchRun, Path], None] = field(kw_only=True)

    def data(self, run: DataRun) -> Stored:
        """Random images in the number, size and classes of the data set."""
        return noise_like(run.dataset, self.sizes(run))

    def folder(self, run: RunSpec) -> Path:
        """The finding of a finished search; else weights or a finding of no training."""
        if isinstance(run, SearchRun):
            finished = self.paths.record(run).is_file() and self.paths.manifest(run).is_file()
            if finished:
                return super().folder(run)
        folder = self.scratch / run.digest
        if not folder.is_dir():
            folder.mkdir()
            if isinstance(run, SearchRun):
                self.blank(run, folder)
            else:
                self._save_teacher(cast(AnyTeacher, run), folder)
        return folder

    def encoder(self, network: Network) -> None:
        """None: a step takes as long from fresh weights."""

    def _save_teacher(self, run: AnyTeacher, folder: Path) -> None:
        """Weights as they are drawn, with the statistics of noise in the norms."""
        data = self.data(run.data)
        image = image_in_training(data, run.recipe)
        network = assemble.make_network(run.network, Shape(data.classes, image), 0, self.precision)
        large = run.task != CLASSIFICATION or image[-1] > LARGE
        count = 2 if large else 16  # statistics of many places are good after few images
        images = torch.randn(count, *image, generator=torch.Generator().manual_seed(0))
        settle(network, images.to(self.precision.device))
        for name in (LAST, BEST):
            save_weights(network.state_dict(), folder / name)


def settle(network: StagedNetwork, images: torch.Tensor) -> None:
    """Give the norms the statistics of a batch, or the maps of deep networks explode."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
