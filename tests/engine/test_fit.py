"""The training loop, seen by a loader that remembers what was asked of it."""

import os
import signal
import time

import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from kdbench.engine.fit import fit
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.errors import Diverged, TryAgain

CPU = torch.device("cpu")


class Spy:
    """A loader of four steps whose batches are their own names."""

    steps = 4

    def __init__(self):
        self.asked = []

    def epoch(self, number, start=0):
        """Remember the question; batches (epoch, step)."""
        self.asked.append((number, start))
        return ((number, step) for step in range(start, self.steps))


class Counter:
    """A training whose only state is what it has seen."""

    def __init__(self):
        self.seen = []

    def state_dict(self):
        """Plain values."""
        return {"seen": list(self.seen)}

    def load_state_dict(self, state):
        """Inverse."""
        self.seen = [tuple(entry) for entry in state["seen"]]


def training(folder, loader, epochs=3, stopper=None, act=lambda batch: None, tick=lambda: None):
    """Run `fit` over a counter, from its checkpoint where there is one."""
    counter, positions = Counter(), []
    state = TrainState(folder, "run", {"counter": counter})
    state.load(CPU)

    def step(batch, position):
        counter.seen.append(batch)
        positions.append(position)
        value = act(batch)
        return {"loss": torch.tensor(float(batch[1]) if value is None else value)}

    calm = stopper or Stopper(checkpoint_seconds=1e9)
    means = []
    for mean in fit(state, step, loader, epochs, calm, tick):
        means.append(mean)
        state.log({"epoch": float(state.epoch), **mean})
    return state, counter, positions, means


def test_every_epoch_is_asked_for_by_its_number(tmp_path):
    """0, 1, 2 from their start: a loop that repeats one epoch's batches fails here."""
    spy = Spy()
    state, counter, positions, means = training(tmp_path, spy)

    assert spy.asked == [(0, 0), (1, 0), (2, 0)]
    assert counter.seen == [(e, s) for e in range(3) for s in range(4)]
    assert [m.step for m in positions] == list(range(12))
    assert [m.epoch for m in positions] == [0] * 4 + [1] * 4 + [2] * 4
    assert {(m.steps, m.epochs) for m in positions} == {(12, 3)}
    assert means == [{"loss": 1.5}] * 3
    assert (state.epoch, state.step) == (3, 0)


def test_tick_is_called_after_every_step(tmp_path):
    """Twelve times in three epochs of four steps, each time when the step has been done."""
    batches, done_at_tick = [], []
    training(tmp_path, Spy(), act=batches.append, tick=lambda: done_at_tick.append(len(batches)))

    assert done_at_tick == list(range(1, 13))


@pytest.mark.parametrize("every", range(1, 6))
def test_a_training_stopped_again_and_again_sees_the_same_batches(tmp_path, every):
    """A time limit of 0 allows one step a call, or `every`; all seen once, in order."""
    calls, spy = 0, Spy()
    while True:
        stopper, left = Stopper(checkpoint_seconds=1e9), iter(range(every))

        def act(batch, stopper=stopper, left=left):
            next(left)
            if batch[0] * 4 + batch[1] < 11 and left.__length_hint__() == 0:
                stopper.max_seconds = -1.0

        calls += 1
        try:
            state, counter, _, _ = training(tmp_path, spy, stopper=stopper, act=act)
            break
        except TryAgain as stopped:
            assert "the same command continues" in str(stopped)

    assert counter.seen == [(e, s) for e in range(3) for s in range(4)]
    assert state.curves == {"epoch": [1.0, 2.0, 3.0], "loss": [1.5] * 3}
    assert calls == -(-12 // every)
    assert sorted({number for number, _ in spy.asked}) == [0, 1, 2]


def test_a_time_limit_of_zero_still_takes_one_step(tmp_path):
    """So that calling again always ends; the checkpoint is on disk when it says so."""
    with pytest.raises(TryAgain, match=r"stopped \(time limit of 0 minutes\) at epoch 0, step 1"):
        training(tmp_path, Spy(), stopper=Stopper(max_seconds=0))

    state = TrainState(tmp_path, "run", {})
    assert state.load(CPU)
    assert state.step == 1


def test_sigterm_ends_the_step_and_saves(tmp_path):
    """The step in which the signal arrives is finished, and none begins after it."""
    stopper = Stopper(checkpoint_seconds=1e9)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    stopper.catch_sigterm()
    try:
        with pytest.raises(TryAgain, match=r"stopped \(SIGTERM\) at epoch 1, step 2") as caught:
            training(
                tmp_path,
                Spy(),
                stopper=stopper,
                act=lambda b: os.kill(os.getpid(), signal.SIGTERM) if b == (1, 1) else None,
            )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert caught.value.exit_code == 75

    spy = Spy()
    _, counter, _, _ = training(tmp_path, spy)

    assert spy.asked == [(1, 2), (2, 0)]
    assert counter.seen == [(e, s) for e in range(3) for s in range(4)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training_in_one_line(tmp_path, value):
    """It names the term and the epoch; no later epoch is trained."""
    spy = Spy()
    with pytest.raises(Diverged) as caught:
        training(tmp_path, spy, act=lambda batch: value if batch == (1, 2) else 1.0)

    message = str(caught.value)
    assert message.startswith(
        f"epoch 1: the loss term 'loss' is {value}, expected a finite number;"
    )
    assert "\n" not in message
    assert spy.asked == [(0, 0), (1, 0)]


def test_all_terms_that_are_not_finite_are_named_and_the_task_s_last(tmp_path):
    """One of them makes the weights and so all others nan; a finite one is not blamed."""
    state = TrainState(tmp_path, "run", {})

    def step(batch, position):
        nan = torch.tensor(float("nan"))
        return {"task": nan, "gap": nan, "fine": torch.tensor(1.0)}

    with pytest.raises(Diverged, match=r"found the loss terms 'gap' \(nan\), 'task' \(nan\), "):
        next(fit(state, step, Spy(), 1, Stopper(checkpoint_seconds=1e9)))


def test_a_finished_training_is_not_continued(tmp_path):
    """The loader is asked for no epoch."""
    state, _, _, _ = training(tmp_path, Spy())
    state.save()
    spy = Spy()

    training(tmp_path, spy)

    assert spy.asked == []


def test_operations_are_counted_once_of_each_kind_of_step(tmp_path):
    """Epochs of three kinds do 2, 1, 2 and 4 products of 30 multiply-adds in each of 4 steps."""
    products, counted = [2, 1, 2, 4], []

    def step(batch, position):
        counted.append(
            any(type(mode) is MultiplyAdds for mode in _get_current_dispatch_mode_stack())
        )
        for _ in range(products[position.epoch]):
            torch.ones(2, 3) @ torch.ones(3, 5)
        return {"loss": torch.tensor(1.0)}

    state = TrainState(tmp_path, "run", {})
    calm = Stopper(checkpoint_seconds=1e9)
    for _ in fit(state, step, Spy(), 4, calm, work=lambda position: products[position.epoch]):
        pass

    assert state.macs == 4 * 30 * sum(products)
    assert [place for place, mode in enumerate(counted) if mode] == [0, 4, 12]


@pytest.mark.parametrize("stop", range(1, 16))
def test_a_resumed_training_counts_operations_in_the_steps_of_a_whole_one(tmp_path, stop):
    """A step that is counted rounds otherwise, so it matters which ones are."""
    kinds, counted = [2, 1, 2, 4], []

    def step(batch, position):
        counted.append(
            any(type(mode) is MultiplyAdds for mode in _get_current_dispatch_mode_stack())
        )
        for _ in range(kinds[position.epoch]):
            torch.ones(2, 3) @ torch.ones(3, 5)
        if len(counted) == stop:
            raise KeyboardInterrupt
        return {"loss": torch.tensor(1.0)}

    def train():
        state, always = TrainState(tmp_path, "run", {}), Stopper(checkpoint_seconds=0)
        state.load(torch.device("cpu"))
        for _ in fit(state, step, Spy(), 4, always, work=lambda place: (kinds[place.epoch], "k")):
            pass
        return state

    with pytest.raises(KeyboardInterrupt):
        train()
    del counted[-1:]  # the step that was lost is taken again
    stop = None
    state = train()

    assert [place for place, mode in enumerate(counted) if mode] == [0, 4, 12]
    assert state.macs == 4 * 30 * sum(kinds)


def test_a_kind_of_step_is_asked_for_only_where_operations_are_counted(tmp_path):
    """Once an epoch: an answer may cost some work on the CPU."""
    asked = []
    state = TrainState(tmp_path, "run", {})

    def step(batch, position):
        return {"loss": torch.tensor(1.0)}

    for _ in fit(state, step, Spy(), 3, Stopper(checkpoint_seconds=1e9), work=asked.append):
        pass

    assert [position.step for position in asked] == [0, 4, 8]


def test_time_spent_waiting_for_the_loader_is_told_after_every_epoch(tmp_path):
    """Of the steps that this process did: a resumed epoch counts those that were left."""

    class Slow(Spy):
        def epoch(self, number, start=0):
            for batch in super().epoch(number, start):
                time.sleep(0.02)
                yield batch

    told = []
    state = TrainState(tmp_path, "run", {"counter": Counter()})
    state.step = 1

    def step(batch, position):
        return {"loss": torch.tensor(0.0)}

    calm = Stopper(checkpoint_seconds=1e9)
    for _ in fit(state, step, Slow(), 2, calm, watch=lambda *words: told.append(words)):
        pass
    assert [steps for steps, *_ in told] == [3, 4]
    for steps, seconds, waited in told:
        assert 0.02 * steps <= waited <= seconds
