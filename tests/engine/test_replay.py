"""Replayed steps on a stand-in for CUDA graphs: to the bit the eager ones, or not replayed."""

from functools import partial

import pytest
import torch
from tape import TapeRecorder
from torch import nn

from kdbench.engine.fit import fit
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition
from kdbench.engine.replay import FRUITLESS, MOST, TRIALS, WARM_UPS, Replay
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.errors import TryAgain

CPU = torch.device("cpu")
STEPS, EPOCHS = 6, 7
NOW = [0]  # the step of the batch that was served last
CALM = partial(Stopper, checkpoint_seconds=1e9)


class Loader:
    """Six batches per epoch, the last one smaller; pure functions of epoch and step."""

    steps = STEPS

    def epoch(self, number, start=0):
        """Images and labels."""
        for step in range(start, self.steps):
            rng = torch.Generator().manual_seed(100 * number + step)
            NOW[0] = step
            size = 2 if step == STEPS - 1 else 4
            yield torch.randn(size, 3, generator=rng), torch.randint(2, (size,), generator=rng)


class Training:
    """A small network with a batch norm, under SGD with momentum; `change` may spoil its step."""

    def __init__(self, change=lambda training, loss, position: loss):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
        self.network.register_buffer("seen", torch.zeros(()))
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)
        self.change, self.calls = change, 0
        self.parts = {"network": self.network, "optimiser": self.optimiser}

    def __call__(self, batch, position):
        """One whole step; the rate falls once, in the middle of the third epoch."""
        self.calls += 1
        rate = position.read(lambda at: 0.1 if at.step < 2.5 * STEPS else 0.01)
        self.optimiser.param_groups[0]["lr"] = rate
        images, labels = batch
        loss = nn.functional.cross_entropy(self.network(images), labels)
        loss = self.change(self, loss, position)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return {"loss": loss}


def train(folder, training, step, epochs=EPOCHS, stopper=None):
    """Run `fit` from the folder's checkpoint, if there is one; the mean losses."""
    state = TrainState(folder, "run", training.parts)
    state.load(CPU)
    return [means["loss"] for means in fit(state, step, Loader(), epochs, stopper or CALM())]


def tensors(training):
    """All that a training changes."""
    momenta = training.optimiser.state_dict()["state"].values()
    return [*training.network.state_dict().values(), *(m["momentum_buffer"] for m in momenta)]


def both(folder, change):
    """A training step by step, and one that is replayed where it can be; what was said of it."""
    eager, replayed, lines = Training(change), Training(change), []
    step = Replay(replayed, replayed.parts, TapeRecorder(), lines.append)
    losses = train(folder / "a", eager, eager), train(folder / "b", replayed, step)
    assert losses[0] == losses[1]
    assert all(map(torch.equal, tensors(eager), tensors(replayed)))
    return eager, replayed, step, lines


def plain(training, loss, position):
    """The step as it is."""
    return loss


def test_a_replayed_training_is_the_eager_one_to_the_bit(tmp_path):
    """Weights, statistics, momenta, losses; short batches and a new rate are kinds of their own."""
    _, training, step, lines = both(tmp_path, plain)

    assert lines == [] and step.reason == ""
    # Of full batches there are 13 at the first rate and 22 at the second; of short ones 2 and 5.
    # The operations of the first step of all are counted, so it is not even a warm-up.
    assert [kind.recording is not None for kind in step._kinds].count(True) == 3
    assert step.replayed == 13 - 1 + 22 + 5 - 3 * WARM_UPS
    assert training.calls == EPOCHS * STEPS - step.replayed + 3 * (1 + TRIALS)


def fed(training, loss, position):
    """Weighed by a tensor that every step changes, and by a factor that every epoch changes."""
    factor = position.read(lambda at: 1.0 + at.epoch)
    weight = position.feed(lambda at: torch.tensor([at.fraction, 1.0]), loss.device)
    return factor * (loss * weight).sum()


def test_a_step_is_fed_what_changes_every_step(tmp_path):
    """And recorded anew where a value changes that it reads."""
    _, _, step, lines = both(tmp_path, fed)

    assert lines == []
    # Of an epoch's 5 full batches 3 warm up; in the third epoch the rate changes within.
    assert step.replayed == (5 - WARM_UPS) * (EPOCHS - 1) - 1


def test_the_count_of_a_part_of_the_training_is_noted_as_the_whole_s(tmp_path):
    """A part that begins later reads its own steps; kinds follow them."""

    def partly(training, loss, position):
        own = position.seen(lambda at: TrainingPosition(at.step - 3, 27, at.epoch, EPOCHS))
        later = own.read(lambda at: at.step >= 12)
        return loss * own.feed(lambda at: torch.tensor(1.0 + at.step), loss.device) * (1 + later)

    _, _, step, lines = both(tmp_path, partly)

    assert lines == [] and step.replayed > 5


def outside(training, loss, position):
    """A factor that changes every step and comes from elsewhere."""
    return loss * (1 + NOW[0])


def rebinding(training, loss, position):
    """A buffer that is replaced, not written to."""
    training.network.seen = training.network.seen + loss.detach()
    return loss + training.network.seen


def looking(training, loss, position):
    """A factor from a look at a value."""
    return loss * (2.0 if loss.item() > 0.5 else 1.0)


def reading(training, loss, position):
    """A weight from the number of the step, read as it stands."""
    return loss * (1 + position.fraction)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (outside, "differs from the same one taken operation by operation"),
        (rebinding, "replaces tensors that it should write to"),
        (looking, "operation not permitted when stream is capturing"),
    ],
)
def test_a_step_that_is_not_fit_for_it_goes_on_eagerly(tmp_path, change, said):
    """In the same bits, and with one line."""
    _, _, step, lines = both(tmp_path, change)

    assert len(lines) == 1 and said in lines[0] and "\n" not in lines[0]
    assert step.reason and step.replayed <= TRIALS


def test_a_step_that_reads_its_number_is_never_replayed(tmp_path):
    """It is told in one line after many kinds that no second step was of."""
    eager, training = Training(reading), Training(reading)
    lines = []
    step = Replay(training, training.parts, TapeRecorder(), lines.append)
    epochs = FRUITLESS // STEPS + 2
    losses = train(tmp_path / "a", eager, eager, epochs)
    assert losses == train(tmp_path / "b", training, step, epochs)

    assert step.replayed == 0
    assert len(lines) == 1 and "every step reads other values" in lines[0]
    assert training.calls == epochs * STEPS


@pytest.mark.parametrize("every", [1, 4, 7])
def test_a_replayed_training_resumes_to_the_bit(tmp_path, every):
    """Stopped after every, every 4th and every 7th step, with recordings made anew each time."""
    eager = Training(fed)
    train(tmp_path / "a", eager, eager)
    while True:
        training = Training(fed)
        left = iter(range(every))

        class Soon(Stopper):
            def must_stop(self, left=left):
                return next(left, None) is None or left.__length_hint__() == 0

        step = Replay(training, training.parts, TapeRecorder(), pytest.fail)
        try:
            train(tmp_path / "b", training, step, stopper=Soon(checkpoint_seconds=1e9))
            break
        except TryAgain:
            pass

    assert all(map(torch.equal, tensors(eager), tensors(training)))


def test_steps_whose_operations_are_counted_are_done_one_by_one(tmp_path):
    """A recording has no operations to count; they are on the stream of all others, though."""
    working, recorder = [], TapeRecorder()
    training = Training(lambda training, loss, at: working.append(recorder.working) or loss)
    step = Replay(training, training.parts, recorder)
    batches = list(Loader().epoch(0))
    for _ in range(WARM_UPS + TRIALS + 1):
        step(batches[0], TrainingPosition(0, 30, 0, 5))
    calls = training.calls
    with MultiplyAdds() as counted:
        step(batches[0], TrainingPosition(0, 30, 0, 5))

    assert counted.macs > 0 and training.calls == calls + 1
    assert all(working)


def test_what_a_step_gave_is_not_overwritten_by_the_next():
    """Each step's terms are tensors of their own."""
    training = Training()
    step = Replay(training, training.parts, TapeRecorder())
    batches = list(Loader().epoch(0))[:5]
    position = TrainingPosition(0, 30, 0, 5)
    terms = [step(b, position)["loss"].detach() for _ in range(3) for b in batches]

    assert step.replayed > 5
    assert len({term.data_ptr() for term in terms}) == len(terms)
    assert len({float(term) for term in terms}) == len(terms)


def test_only_the_last_recordings_are_kept(tmp_path):
    """However many kinds of steps there are."""
    training = Training(lambda training, loss, at: loss * at.read(lambda here: here.epoch))
    step = Replay(training, training.parts, TapeRecorder())
    train(tmp_path, training, step, epochs=MOST + 3)

    assert len(step._kinds) == MOST
