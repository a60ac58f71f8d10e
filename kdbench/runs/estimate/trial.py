"""One real step of a run on random images: counted, timed, and weighed."""

import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.batch import Batch
from kdbench.data.stored.open import Stored
from kdbench.distill.scheme import Scheme
from kdbench.engine.cuda_graphs import count_on_device, replayed, uses_graphs
from kdbench.engine.fit import Step, Work
from kdbench.engine.memory import peak_memory
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.replay import TRIALS, WARM_UPS
from kdbench.engine.stopping import Stopper
from kdbench.errors import UnknownName
from kdbench.exhibits.tasks import CLASSIFICATION
from kdbench.runs import assemble
from kdbench.runs.assemble import Loader
from kdbench.runs.estimate.lengths import FitRun, Length
from kdbench.runs.estimate.throughput import Timing
from kdbench.runs.job import Inputs, Job
from kdbench.runs.search import SearchStep, build_search, record_steps
from kdbench.runs.training import build_training
from kdbench.store.student_runs import SearchRun

SMALL = (2, 3, 4, 5)  # batches that tell how multiply-adds grow with the batch
STANDING = 1e-8  # learning rate: the networks stay what they are
LEAST = 2  # timed steps


@dataclass
class Cut:
    """Batches of a loader, cut to their first images; what a search reads validation images from.

    Attributes:
        loader: serves whole batches.
        images: of a batch.
    """

    loader: Loader
    images: int

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.loader.steps

    def batch(self, epoch: int, step: int) -> Batch:
        """The first images of a batch."""
        whole = self.loader.batch(epoch, step % self.steps)
        return Batch(*(part[: self.images] for part in whole))


@dataclass
class Trial:
    """A run's step, ready to be taken at any place of the run.

    Attributes:
        step: does it.
        work: says which operations a step does, see `kdbench.engine.fit.Work`.
        train: serves its images.
        held: serves a search's validation images.
        length: of the run.
        before: epochs of a first part, before those of `length`.
        parts: what the step changes.
        finding: what a search finds before its first step.
        precision: number format and device.
    """

    step: Step
    work: Work
    train: Cut
    held: Cut | None
    length: Length
    before: int
    parts: Mapping[str, Any]
    finding: Any
    precision: Precision
    _taken: int = field(default=0, init=False)

    @property
    def epochs(self) -> int:
        """All epochs, those of a first part too."""
        return self.before + self.length.epochs

    @property
    def network(self) -> nn.Module:
        """What is trained; of a search, the network that it trains while it searches."""
        student = self.parts.get("student")
        network: nn.Module = self.parts["search"].student if student is None else student
        return network

    def position(self, epoch: int) -> TrainingPosition:
        """Where the first step of an epoch stands."""
        steps = self.length.steps
        return TrainingPosition(epoch * steps, self.epochs * steps, epoch, self.epochs)

    def take(self, epoch: int, images: int) -> None:
        """Take the first step of an epoch, on so many images."""
        self.train.images = images
        if self.held:
            self.held.images = images
        self.step(self.train.batch(0, self._taken), self.position(epoch))
        self._taken += 1

    def warm_up(self, epoch: int, images: int) -> None:
        """Where steps are recorded, take those of an epoch that come before the replayed ones."""
        if uses_graphs(self.precision.device):
            for _ in range(WARM_UPS + TRIALS):
                self.take(epoch, images)

    def count(self, epoch: int, images: int) -> int:
        """Multiply-adds of that step."""
        with MultiplyAdds() as counted:
            self.take(epoch, images)
        return int(counted.macs)

    def count_whole(self, epoch: int, batch: int) -> int:
        """Multiply-adds of a step on a whole batch, from steps on a few images.

        What a step does grows with the batch as a polynomial: nearly all of it is done image by
        image, some losses compare images in pairs, and relational ones in triples (RKD's angles).
        Four counts give a polynomial of third degree, in whole numbers.
        """
        if batch <= max(SMALL):
            return self.count(epoch, batch)
        return extrapolated([self.count(epoch, images) for images in SMALL], batch)

    def epochs_by_work(self) -> dict[int, int]:
        """Epochs whose first step does the same, each by the first of them: how many they are.

        An epoch's multiply-adds are those of its first step, as in records.
        """
        first: dict[Hashable, int] = {}
        numbers: dict[int, int] = {}
        for epoch in range(self.epochs):
            alike = first.setdefault(self.work(self.position(epoch)), epoch)
            numbers[alike] = numbers.get(alike, 0) + 1
        return numbers

    @property
    def weight_bytes(self) -> int:
        """Bytes of the network's state."""
        return bytes_of(self.network.state_dict())

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of a checkpoint: all that changes, and the best weights so far."""
        states = [part.state_dict() for part in self.parts.values()]
        return bytes_of(states) + (self.weight_bytes if self.length.looks else 0)

    @property
    def artifact_bytes(self) -> int:
        """Bytes that stay: the last and the best weights, or the rows of a scheme."""
        if self.length.looks:
            return 2 * self.weight_bytes
        if isinstance(self.finding, Scheme):
            rows = self.length.epochs * self.length.steps
            return rows * bytes_of([self.finding.weights[:1], self.finding.alphas[:1]])
        return 0


def extrapolated(counts: list[int], batch: int) -> int:
    """The polynomial through counts at 2, 3, 4, ... images, at another number of images.

    >>> extrapolated([n**3 + 5 * n for n in (2, 3, 4, 5)], 128) == 128**3 + 5 * 128
    True
    """
    total, differences = 0, counts
    for degree in range(len(counts)):
        total += comb(batch - SMALL[0], degree) * differences[0]
        pairs = pairwise(differences)
        differences = [later - earlier for earlier, later in pairs]
    return total


def bytes_of(state: Any) -> int:
    """Bytes of all tensors in nested lists and dictionaries."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(state))


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)


def build_trial(
    run: FitRun, inputs: Inputs, length: Length, precision: Precision, images: int | None = None
) -> Trial:
    """Build a run's step as the run itself does, with inputs of noise.

    Encoded images are not decoded: where the augmentation is not one of pixels, there is none.

    Args:
        run: a training or a search.
        inputs: gives data, teachers, schemes and structures.
        length: of the run.
        precision: number format and device.
        images: of the largest batch that it will take; None for the run's own.
    """
    run = replace(run, recipe=replace(run.recipe, lr=STANDING, augment=_augment(run)))
    data = inputs.data(run.data).training_only()
    job: Job[Any] = Job(run, inputs.paths, Stopper(), lambda *_: lambda: None)
    job.computes_with, job.inputs = precision, inputs
    images = min(images or run.recipe.batch, run.recipe.batch)
    train = _loader(run, data, precision, 0, images)
    if isinstance(run, SearchRun):
        return _search_trial(job, data, train, length)
    training = build_training(job, data, length.steps)
    training.student.train()
    uncaptured, parts = training.step.uncaptured, training.parts
    count_on_device(parts.values(), precision.device)
    return Trial(
        step=replayed(training.step, parts, precision.device, uncaptured, lambda line: None),
        work=training.step.work,
        train=train,
        held=None,
        length=length,
        before=training.before,
        parts=training.parts,
        finding=None,
        precision=precision,
    )


def _search_trial(job: Job[SearchRun], data: Stored, train: Cut, length: Length) -> Trial:
    run, precision = job.spec, job.precision
    searcher, teacher = build_search(job, data)
    share = run.search.validation_share
    held = _loader(run, data, precision, 1, train.images) if share else None
    validation: Any = held
    step = SearchStep(searcher, teacher, validation, run.recipe, length.steps, precision)
    count_on_device([searcher], precision.device)
    record_steps(step, {"search": searcher}, lambda line: None)
    return Trial(
        step=step,
        work=searcher.work,
        train=train,
        held=held,
        length=length,
        before=0,
        parts={"search": searcher},
        finding=searcher.blank(),
        precision=precision,
    )


def _augment(run: FitRun) -> str:
    if run.task != CLASSIFICATION:
        return run.recipe.augment
    try:
        Augment.parse(run.recipe.augment)
    except UnknownName:
        return "none"
    return run.recipe.augment


def _loader(run: FitRun, data: Stored, precision: Precision, part: int, images: int) -> Cut:
    """A loader of a few batches: the first images, or those after them."""
    few = 2 * images
    index = (np.arange(few) + part * few) % len(data.labels("train"))
    recipe = replace(run.recipe, batch=images, steps_per_epoch=None)
    loader = assemble.make_loader(data, "train", recipe, 0, precision, index=index)
    return Cut(loader, images)


def save_blank(run: SearchRun, folder: Path, inputs: Inputs, precision: Precision) -> None:
    """Save what a search finds before its first step."""
    job: Job[SearchRun] = Job(run, inputs.paths, Stopper(), lambda *_: lambda: None)
    job.computes_with, job.inputs = precision, inputs
    searcher, _ = build_search(job, inputs.data(run.data).training_only())
    searcher.blank().save(folder)


def with_peak(trial: Trial, epoch: int, batch: int, budget: float) -> Timing:
    """Seconds of a step on a whole batch, its loading included, and the largest memory so far."""
    trial.warm_up(epoch, batch)
    seconds = median_seconds(lambda: trial.take(epoch, batch), trial.precision, budget)
    return Timing(seconds, peak_memory(trial.precision.device))


def median_seconds(work: Callable[[], Any], precision: Precision, budget: float) -> float:
    """Median time of some work after a first time that does not count; two at least are timed.

    Args:
        work: what is timed.
        precision: says on which device.
        budget: seconds for everything.
    """
    begun = time.perf_counter()
    work()
    times = [_timed(work, precision.device) for _ in range(LEAST)]
    while time.perf_counter() + times[-1] < begun + budget:
        times.append(_timed(work, precision.device))
    return statistics.median(times)


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    _wait_for(device)
    begun = time.perf_counter()
    work()
    _wait_for(device)
    return time.perf_counter() - begun


def _wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
