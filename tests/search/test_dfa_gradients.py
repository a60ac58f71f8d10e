"""The gradient of DFA's β on real, small networks, against what training really does."""

import copy
from functools import partial

import pytest
import torch
from dfa_runs import (
    IDS,
    METHODS,
    assert_same,
    data,
    everything,
    look,
    run,
    start,
    take,
    written_out,
)

from kdbench.search.bilevel import buffers_of, rates_of
from kdbench.search.darts import differenced, exact, first_order

GROUP = 1


def losses_of(search, teacher, group=GROUP, step=7):
    """Training and held-out loss of a group as functions of weights and β."""
    train, held = data(step)
    inner = partial(search.inner, train, look(teacher, train), group)
    return inner, partial(search.outer, held, look(teacher, held), group)


def second_order(take, search, teacher, **options):
    """The gradient of one group's β through the virtual step, and the held-out loss."""
    inner, outer = losses_of(search, teacher)
    weights, rates = search.weights, rates_of(search.optimiser)
    buffers = buffers_of(search.optimiser, weights)
    return take(inner, outer, weights, search.betas[GROUP], buffers, rates, **options)


def held_out_loss(search, teacher, beta, *, after_a_step):
    """Written out: a copy of everything takes a real step of SGD, then looks at held-out images."""
    twin = copy.deepcopy(search)
    train, held = data(7)
    if after_a_step:
        twin.optimiser.zero_grad()
        terms = written_out(twin, train, look(teacher, train), GROUP, beta)
        sum(terms.values()).backward()
        twin.optimiser.step()
    with torch.no_grad():
        terms = written_out(twin, held, look(teacher, held), GROUP, beta)
    return sum(terms.values()).item() + search.l2 * beta.square().sum().item()


def slope(search, teacher, place, **options):
    """Of the held-out loss in one entry of β, by small steps."""
    beta = search.betas[GROUP].detach()
    shift = torch.zeros_like(beta)
    shift[place] = 1e-5
    up, down = (held_out_loss(search, teacher, beta + s * shift, **options) for s in (1, -1))
    return (up - down) / 2e-5


@pytest.mark.parametrize("pair", ["wrn to wrn", "resnet to resnet", "shufflenet to shufflenet"])
@pytest.mark.parametrize("losses", ["bridge", "st", "ts", "plain"])
def test_the_first_order_is_the_slope_of_the_held_out_loss(float64, pair, losses):
    """At the weights as they are; R(β) is part of it."""
    teacher, search = start(pair, losses=losses, l2=0.01)
    run(search, teacher, 3)
    found, held = first_order(losses_of(search, teacher)[1], search.weights, search.betas[GROUP])
    expected = [slope(search, teacher, k, after_a_step=False) for k in range(len(found))]

    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-8)
    beta = search.betas[GROUP].detach()
    wanted = held_out_loss(search, teacher, beta, after_a_step=False)
    assert held.item() == pytest.approx(wanted)
    assert found.abs().max() > 1e-6


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("pair", ["wrn to wrn", "resnet to resnet"])
def test_the_exact_second_order_is_the_slope_of_what_training_really_does(
    float64, pair, steps, nesterov
):
    """A real step of PyTorch's optimiser with other β, then the real held-out loss."""
    teacher, search = start(pair, order="second", gradient="exact", nesterov=nesterov, l2=0.01)
    run(search, teacher, steps)
    found, held = second_order(exact, search, teacher)
    expected = [slope(search, teacher, k, after_a_step=True) for k in range(len(found))]

    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-7)
    wanted = held_out_loss(search, teacher, search.betas[GROUP].detach(), after_a_step=True)
    assert held.item() == pytest.approx(wanted)


@pytest.mark.parametrize("losses", ["bridge", "st", "ts", "plain"])
def test_the_finite_difference_closes_in_on_the_exact_second_order(float64, losses):
    """Once the points are near enough for the ReLUs: in what it adds to the first order, too."""
    teacher, search = start(losses=losses, lr=0.2)
    run(search, teacher, 3)
    wanted, held = second_order(exact, search, teacher)
    near, seen = second_order(differenced, search, teacher, scale=1e-6)
    outer = losses_of(search, teacher)[1]
    direct, _ = first_order(outer, search.weights, search.betas[GROUP])

    torch.testing.assert_close(seen, held)
    assert (near - wanted).norm() < 1e-4 * wanted.norm()
    assert (near - wanted).norm() < 0.05 * (direct - wanted).norm()


@pytest.mark.parametrize(
    "options", [{}, {"order": "second"}, {"order": "second", "gradient": "exact"}]
)
def test_a_step_of_adam_with_the_gradient_that_was_asked_for(float64, options):
    """β after a step is what Adam makes of the oracle's gradient, weight decay included."""
    teacher, search = start(**options, beta_weight_decay=0.1)
    twin = copy.deepcopy(search)
    beta = twin.betas[0]
    train, held = data(0)
    inner = partial(twin.inner, train, look(teacher, train), 0)
    outer = partial(twin.outer, held, look(teacher, held), 0)
    if options:
        take_it = exact if "gradient" in options else differenced
        parts = (twin.weights, beta, [None] * len(twin.weights), rates_of(twin.optimiser))
        gradient, _ = take_it(inner, outer, *parts)
    else:
        gradient, _ = first_order(outer, twin.weights, beta)
    adam = torch.optim.Adam([beta], lr=0.05, betas=(0.5, 0.999), weight_decay=0.1)
    beta.grad = gradient
    adam.step()
    take(search, teacher, 0)

    torch.testing.assert_close(search.betas[0], beta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_virtual_passes_leave_no_trace(options):
    """Weights, running statistics, gradients, momentum and β: the same bits as before."""
    teacher, search = start(**options)
    run(search, teacher, 3)
    for parameter in search.weights:
        parameter.grad = torch.ones_like(parameter)  # whatever somebody else left there
    before = everything(search)
    inner, outer = losses_of(search, teacher)
    search._meta_gradient(inner, outer, search.betas[GROUP])

    assert_same(before, everything(search))
