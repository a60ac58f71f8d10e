"""What every declared loss promises the training: what learns, what is kept, what is random."""

import copy
import gc
import random
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contract import (
    CLASSES,
    CPU,
    EVERY,
    LABELS,
    PAIR,
    build,
    few_pathways,
    finding,
    network,
    scene,
)
from safetensors.torch import load_file
from typed_runs import student_run

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.exhibits.protocols import CRD
from kdbench.runs import training
from kdbench.runs.training import run_training, save_weights

every = pytest.mark.parametrize("method", EVERY)
# Losses of the two networks' features alone; every other one starts from random numbers.
DRAW_NOTHING = {
    *("at", "dist", "dkd", "jacobian", "kd", "kd_mean", "kd_standardised"),
    *("london", "mlld", "none", "nst", "pkt", "rkd", "sp"),
}
RECIPE = replace(CRD, batch=8, epochs=8, augment="none", weight_decay=0.0)


class Caught(Exception):
    """A training's step and all that it would save."""


@pytest.fixture(scope="module")
def nets():
    """Teacher and student; no test changes them."""
    return network(PAIR[0]), network(PAIR[1])


@pytest.fixture
def losses(nets):
    """Builds a method's loss on the two networks."""
    teacher, student = nets
    return lambda method, seed=0: build(method, student, teacher, seed, **few_pathways(method))


def assembled(method, folder, monkeypatch):
    """The step and the saved parts of a student's run, by the very code of the training phase."""
    teacher, student = network(PAIR[0], side=8), network(PAIR[1], side=8)
    save_weights(teacher.state_dict(), folder / training.LAST)
    scheme = finding(method, student, teacher)
    if scheme is not None:
        scheme.save(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (LABELS, 8, 8, 3), dtype=np.uint8)
    data = SimpleNamespace(
        images=lambda split: pixels,
        labels=lambda split: np.arange(LABELS) % CLASSES,
        classes=range(CLASSES),
        image=(3, 8, 8),
    )
    data.training_only = lambda: data
    run = student_run(method, *PAIR, recipe=RECIPE)
    job = SimpleNamespace(
        spec=run,
        precision=CPU,
        folder=folder / "run",
        origin={},
        stopper=None,
        inputs=SimpleNamespace(
            data=lambda run: data, folder=lambda run: folder, encoder=lambda trained: None
        ),
        follow=lambda *_: lambda: None,
        say=lambda line: None,
    )

    def stop(state, step, *_):
        raise Caught(step, state.parts)

    monkeypatch.setattr(training, "fit", stop)
    with pytest.raises(Caught) as caught:
        run_training(job)
    return caught.value.args


def _parameters_of(optimiser):
    """Identities of what an optimiser trains."""
    return {id(p) for group in optimiser.param_groups for p in group["params"]}


@every
def test_every_parameter_of_a_loss_is_in_an_optimiser_and_learns(method, tmp_path, monkeypatch):
    """The student learns too, and its optimiser has none of what the loss steps by itself."""
    step, parts = assembled(method, tmp_path, monkeypatch)
    loss = parts["loss"]
    optimisers = [part for part in parts.values() if isinstance(part, torch.optim.Optimizer)]
    trained = set().union(*map(_parameters_of, optimisers))
    before = copy.deepcopy(dict(loss.named_parameters()))
    started = [p.detach().clone() for p in parts["student"].parameters()]
    parts["student"].train()
    images, labels = torch.randn(LABELS, 3, 8, 8), torch.arange(LABELS) % CLASSES
    first = getattr(step, "epochs", 0)  # of a first part
    for epoch in [*range(first)[:1], first + 6, first + 7]:
        for place in range(3):
            index = torch.arange(8 * place, 8 * place + 8)
            position = TrainingPosition(3 * epoch + place, 3 * (first + 8), epoch, first + 8)
            step(Batch(images[index], labels[index], index), position)

    own = loss.optimisers.values()
    main = _parameters_of(parts["optimiser"])
    assert not any(main & _parameters_of(optimiser) for optimiser in own)
    assert all(id(p) in trained for p in loss.parameters() if p.requires_grad)
    still = {name for name, p in loss.named_parameters() if torch.equal(p, before[name])}
    assert all(name.endswith("conv.bias") for name in still)  # which the norm behind takes away
    moved = zip(started, parts["student"].parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in moved)


@pytest.fixture(scope="module")
def old_objects_aside():
    """Collections pass over all that is there already, at which each would look for a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("old_objects_aside")
@every
def test_a_loss_keeps_neither_network_alive(method):
    """Nor their features; and no tensor of its state is one of theirs."""
    teacher, student = network(PAIR[0]), network(PAIR[1])
    loss = build(method, student, teacher, **few_pathways(method))
    seen = scene(student, teacher)
    seen.slopes(loss, seen.terms(loss))
    places = {t.data_ptr() for net in (teacher, student) for t in net.state_dict().values()}
    own = {t.data_ptr() for t in loss.state_dict().values()}
    left = [weakref.ref(x) for x in (teacher, student, seen.teacher, seen.student)]
    del teacher, student, seen
    gc.collect()

    assert not own & places
    assert [ref() for ref in left] == [None] * 4


def stepped(loss, seen):
    """Terms, gradients and the state after one batch."""
    terms = seen.terms(loss)
    slopes = seen.slopes(loss, terms)
    return terms, slopes, {k: v.clone() for k, v in loss.state_dict().items()}


def assert_same_bits(actual, expected):
    """Terms, gradients and states agree to the last bit."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=False)


@every
@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_a_loss_with_a_loaded_state_does_the_next_batch_to_the_bit(method, form, tmp_path):
    """Though it was built with another seed."""
    assert_goes_on(method, form, PAIR[0], tmp_path)


def test_ofd_s_counted_margins_are_in_its_state(tmp_path):
    """A teacher whose stages end without a norm makes OFD count them."""
    assert_goes_on("ofd", "torch", "mobilenet-v2-0.5", tmp_path)


def assert_goes_on(method, form, teacher, tmp_path):
    """A loss from another seed, given the state of a used one, does the next batch alike."""
    teacher, student = network(teacher), network(PAIR[1])
    few = few_pathways(method)
    loss, other = (build(method, student, teacher, seed, **few) for seed in (0, 1))
    stepped(loss, scene(student, teacher, seed=1))
    if form == "torch":
        torch.save(loss.state_dict(), tmp_path / "state")
        state = torch.load(tmp_path / "state", weights_only=True)
    else:
        save_weights(loss.state_dict(), tmp_path / "state")
        state = load_file(tmp_path / "state")
    other.load_state_dict(state)

    expected = stepped(loss, scene(student, teacher, seed=2))
    assert_same_bits(stepped(other, scene(student, teacher, seed=2)), expected)


@every
def test_a_seed_decides_all_that_is_random(nets, losses, method):
    """Equal seeds give equal bits; another seed gives others unless the loss draws nothing."""
    teacher, student = nets
    seeded = [losses(method, seed) for seed in (0, 0, 1)]
    states = [{k: v.clone() for k, v in loss.state_dict().items()} for loss in seeded]
    results = [stepped(loss, scene(student, teacher)) for loss in seeded]

    assert_same_bits(results[1], results[0])
    draws = method not in DRAW_NOTHING
    assert any(not torch.equal(v, states[2][k]) for k, v in states[0].items()) == draws
    assert any(not torch.equal(v, results[2][0][k]) for k, v in results[0][0].items()) == draws


@every
def test_no_global_generator_is_touched(nets, losses, method):
    """Building and using a loss draws from none of torch's, numpy's and Python's generators."""
    teacher, student = nets
    seen = scene(student, teacher)

    def states():
        words = np.random.get_state()[1].tolist()
        return torch.get_rng_state().tolist(), words, random.getstate()

    before = states()
    loss = losses(method)
    seen.slopes(loss, seen.terms(loss))

    assert states() == before
