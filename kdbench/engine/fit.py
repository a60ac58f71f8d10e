"""The training loop: a generator, so that evaluating, saving and logging are an ordinary `for`."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.errors import Diverged, TryAgain

Step = Callable[[Any, TrainingPosition], Mapping[str, Tensor]]
"""One whole training step on a batch, optimiser included; returns its loss terms."""


class Loader(Protocol):
    """Serves the batches of any epoch from any position on."""

    steps: int

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]:
        """Batches of one epoch, from its step `start` on."""
        ...


def fit(
    progress: TrainState,
    step: Step,
    loader: Loader,
    epochs: int,
    stopper: Stopper,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, float]]:
    """Train from wherever `progress` stands, yielding each epoch's mean loss terms.

    Args:
        progress: everything that the training changes.
        step: does one training step.
        loader: an epoch's batches depend on its number alone, so a resumed run sees the very
            batches that an uninterrupted one would have seen.
        epochs: length of the whole training.
        stopper: says between two steps whether to save or to stop.
        tick: called after every step, for a progress bar.

    Raises:
        TryAgain: the stopper asked to stop; a checkpoint is on disk.
        Diverged: a mean loss of an epoch is not finite.
    """
    while progress.epoch < epochs:
        begun = time.perf_counter()
        for batch in loader.epoch(progress.epoch, start=progress.step):
            done = progress.epoch * loader.steps + progress.step
            position = TrainingPosition(done, epochs * loader.steps, progress.epoch, epochs)
            progress.add(_done(step, batch, position, progress, loader.steps))
            progress.step += 1
            tick()
            begun = _pause(progress, stopper, begun)
        yield _close_epoch(progress, loader.steps, begun)
        _pause(progress, stopper, time.perf_counter())


def _done(
    step: Step, batch: Any, position: TrainingPosition, progress: TrainState, steps: int
) -> Mapping[str, Tensor]:
    """Do a step; the first one of an epoch is counted for all of them."""
    if progress.step:
        return step(batch, position)
    with MultiplyAdds() as counted:
        terms = step(batch, position)
    progress.macs += counted.macs * steps
    return terms


def _close_epoch(progress: TrainState, steps: int, begun: float) -> dict[str, float]:
    means = {name: float(total) / steps for name, total in progress.sums.items()}
    progress.seconds += time.perf_counter() - begun
    wrong = [name for name, value in means.items() if not math.isfinite(value)]
    if wrong:
        raise Diverged(
            f"epoch {progress.epoch}: the loss term {wrong[0]!r} is {means[wrong[0]]}, expected a "
            "finite number; lower the learning rate or the term's weight"
        )
    progress.sums = {}
    progress.epoch += 1
    progress.step = 0
    return means


def _pause(progress: TrainState, stopper: Stopper, begun: float) -> float:
    """Save or stop between two steps where it is time to; returns when the next step begins."""
    stop = stopper.must_stop()
    if not stop and not stopper.checkpoint_due():
        return begun
    progress.seconds += time.perf_counter() - begun
    progress.save()
    stopper.checkpoint_done()
    if stop:
        raise TryAgain(
            f"stopped ({stopper.reason}) at epoch {progress.epoch}, step {progress.step}; "
            "the same command continues from the checkpoint"
        )
    return time.perf_counter()
