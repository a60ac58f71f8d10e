"""The training loop: a generator, so that evaluating, saving and logging are an ordinary `for`."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from kdbench.engine import lanes, ranks
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.errors import Diverged, TryAgain

TASK = "task"  # the term that every training has, beside those of its method
Step = Callable[[Any, TrainingPosition], Mapping[str, Tensor]]
"""One whole training step on a batch, optimiser included; returns its loss terms."""


Work = Callable[[TrainingPosition], Hashable]
"""Which operations a step does: where two steps have equal answers, they do the same ones.

An answer's text stands for it in checkpoints."""


Watch = Callable[[int, float, float], None]
"""Told after every epoch: steps that this process did of it, their seconds, and of these those in
which it waited for the loader."""


class EpochLoader(Protocol):
    """Serves the batches of any epoch from any position on."""

    steps: int

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]:
        """Batches of one epoch, from its step `start` on."""
        ...


def fit(
    state: TrainState,
    step: Step,
    loader: EpochLoader,
    epochs: int,
    stopper: Stopper,
    tick: Callable[[], None] = lambda: None,
    work: Work = lambda position: None,
    watch: Watch = lambda steps, seconds, waited: None,
) -> Iterator[dict[str, float]]:
    """Train from wherever `state` stands, yielding each epoch's mean loss terms.

    Args:
        state: everything that the training changes.
        step: does one training step.
        loader: an epoch's batches depend on its number alone, so a resumed run sees the very
            batches that an uninterrupted one would have seen.
        epochs: length of the whole training.
        stopper: says between two steps whether to save or to stop.
        tick: called after every step, for a progress bar.
        work: operations are counted in one step of each kind. An epoch counts as its first step.
        watch: see `Watch`.

    Raises:
        TryAgain: the stopper asked to stop; a checkpoint is on disk.
        Diverged: a mean loss of an epoch is not finite.
    """
    while state.epoch < epochs:
        begun = first = lanes.clock()
        batches, done = _Waiting(loader.epoch(state.epoch, start=state.step)), state.step
        for batch in batches:
            taken = state.epoch * loader.steps + state.step
            position = TrainingPosition(taken, epochs * loader.steps, state.epoch, epochs)
            one = partial(step, batch, position)
            state.add(_take_step(one, state, loader.steps, partial(work, position)))
            state.step += 1
            tick()
            begun = _pause(state, stopper, begun)
            lanes.pass_on()
        means = _close_epoch(state, loader.steps, begun)
        ranks.require_alike({k: part.state_dict() for k, part in state.parts.items()}, "training")
        watch(loader.steps - done, lanes.clock() - first, batches.seconds)
        yield means
        _pause(state, stopper, lanes.clock())


class _Waiting:
    """Batches as they come, and how long it took in all until they came."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        begun = lanes.clock()
        try:
            return next(self._batches)
        finally:
            self.seconds += lanes.clock() - begun


def _take_step(
    step: Callable[[], Mapping[str, Tensor]],
    state: TrainState,
    steps: int,
    work: Callable[[], Hashable],
) -> Mapping[str, Tensor]:
    """Do a step; the first one of an epoch stands for all of them in the count of operations.

    The counts outlive the process: under a dispatch mode autograd adds gradients up into new
    tensors, which may lie otherwise in memory, so a step that is counted rounds otherwise. A
    resumed training must count in the very steps in which a whole one does.
    """
    if state.step:
        return step()
    kind = str(work())
    if kind in state.counts:  # counting makes a step a quarter slower
        terms = step()
    else:
        with MultiplyAdds() as counted:
            terms = step()
        state.counts[kind] = counted.macs * ranks.size()
    state.macs += state.counts[kind] * steps
    return terms


def _close_epoch(state: TrainState, steps: int, begun: float) -> dict[str, float]:
    means = {name: float(total) / steps for name, total in state.sums.items()}
    means = ranks.average_means(means)
    state.seconds += lanes.clock() - begun
    wrong = {name: mean for name, mean in means.items() if not math.isfinite(mean)}
    if wrong:
        raise Diverged(f"epoch {state.epoch}: {_not_finite(wrong)}")
    state.sums = {}
    state.epoch += 1
    state.step = 0
    return means


def _not_finite(wrong: Mapping[str, float]) -> str:
    """The terms that are not finite, the task's own last: it seldom is the first to fail."""
    advice = "lower the learning rate or the term's weight"
    if len(wrong) == 1:
        ((name, mean),) = wrong.items()
        return f"the loss term {name!r} is {mean}, expected a finite number; {advice}"
    names = sorted(wrong, key=lambda name: name == TASK)
    listed = ", ".join(f"{name!r} ({wrong[name]})" for name in names)
    origin = "the first to fail makes the others so; kdbench check tries a method's terms alone"
    return f"found the loss terms {listed}, expected finite numbers; {origin}; {advice}"


def _pause(state: TrainState, stopper: Stopper, begun: float) -> float:
    """Save or stop between two steps where it is time to; returns when the next step begins.

    All ranks do where one of them should: they would wait for each other for ever.
    """
    stop, due = ranks.any_of(stopper.must_stop(), stopper.checkpoint_due())
    if not stop and not due:
        return begun
    state.seconds += lanes.clock() - begun
    state.save()
    stopper.checkpoint_done()
    if stop:
        raise TryAgain(
            f"stopped ({stopper.reason or 'another rank must'}) at epoch {state.epoch}, "
            f"step {state.step}; the same command continues from the checkpoint"
        )
    return lanes.clock()
