"""The gradient of DFA's β on real, small networks, against what training really does."""

import copy
from functools import partial

import pytest
import torch
from build_search import assert_same
from dfa_runs import (
    IDS,
    METHODS,
    RATE,
    data,
    everything,
    fitted_betas,
    run,
    start,
    take,
    written_out,
)
from sampling import sampled

from kdbench.search.bilevel import buffers_of, rates_of
from kdbench.search.darts import differenced, exact, first_order

GROUP = 1
DIFFERENCED = partial(differenced, scale=0.01)


def losses_of(search, teacher, group=GROUP, step=7):
    """Training and validation loss of a group as functions of weights and β."""
    train, validation = data(teacher, step)
    return partial(search.inner, train, group), partial(search.outer, validation, group)


def second_order(take, search, teacher, **options):
    """The gradient of one group's β through the virtual step, and the validation loss."""
    inner, outer = losses_of(search, teacher)
    weights, rates = search.weights, rates_of(search.optimiser)
    buffers = buffers_of(search.optimiser, weights)
    return take(inner, outer, weights, search.betas[GROUP], buffers, rates, **options)


def validation_loss(search, teacher, beta, *, after_a_step):
    """Written out: a copy of everything takes a real step of SGD, then reads validation images."""
    twin = copy.deepcopy(search)
    train, validation = data(teacher, 7)
    if after_a_step:
        twin.optimiser.zero_grad()
        written_sum(twin, train, fitted_betas(twin, GROUP, beta)).backward()
        twin.optimiser.step()
    with torch.no_grad():
        loss = written_sum(twin, validation, {GROUP: beta})
    return loss.item() + search.l2 * beta.square().sum().item()


def written_sum(search, data, betas):
    """All terms of some groups, and the cross-entropy."""
    task, groups = written_out(search, data, betas)
    return task + sum(sum(terms.values()) for terms in groups.values())


def numerical_gradient(search, teacher, place, **options):
    """Of the validation loss in one entry of β, by small steps."""
    beta = search.betas[GROUP].detach()
    shift = torch.zeros_like(beta)
    shift[place] = 1e-5
    up, down = (validation_loss(search, teacher, beta + s * shift, **options) for s in (1, -1))
    return (up - down) / 2e-5


@pytest.mark.parametrize(
    "pair",
    sampled(["wrn to wrn", "resnet to resnet", "shufflenet to shufflenet"], ["resnet to resnet"]),
)
@pytest.mark.parametrize("losses", ["bridge", "st", "ts", "plain"])
def test_the_first_order_is_the_numerical_gradient_of_the_validation_loss(float64, pair, losses):
    """It is taken at the weights as they are; R(β) is part of the loss."""
    teacher, search = start(pair, losses=losses, l2=0.01)
    run(search, teacher, 3)
    beta = search.betas[GROUP]
    gradient, loss, _ = first_order(losses_of(search, teacher)[1], search.weights, beta)
    expected = [
        numerical_gradient(search, teacher, k, after_a_step=False) for k in range(len(beta))
    ]

    torch.testing.assert_close(gradient, torch.tensor(expected), rtol=1e-5, atol=1e-8)
    expected_loss = validation_loss(search, teacher, beta.detach(), after_a_step=False)
    assert loss.item() == pytest.approx(expected_loss)
    assert gradient.abs().max() > 1e-6


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("pair", sampled(["wrn to wrn", "resnet to resnet"], ["resnet to resnet"]))
def test_the_exact_second_order_is_the_numerical_gradient_through_a_real_step(
    float64, pair, steps, nesterov
):
    """PyTorch's optimiser steps with other β, then the validation loss is taken."""
    teacher, search = start(pair, order="second", gradient="exact", nesterov=nesterov, l2=0.01)
    run(search, teacher, steps)
    gradient, loss, _ = second_order(exact, search, teacher)
    beta = search.betas[GROUP].detach()
    expected = [numerical_gradient(search, teacher, k, after_a_step=True) for k in range(len(beta))]

    torch.testing.assert_close(gradient, torch.tensor(expected), rtol=1e-4, atol=1e-7)
    expected_loss = validation_loss(search, teacher, beta, after_a_step=True)
    assert loss.item() == pytest.approx(expected_loss)


@pytest.mark.parametrize("losses", ["bridge", "st", "ts", "plain"])
def test_the_finite_difference_approaches_the_exact_second_order(float64, losses):
    """It does once the points are near enough for the ReLUs, also in what the first order lacks."""
    teacher, search = start(losses=losses, lr=0.2)
    run(search, teacher, 3)
    expected, expected_loss, _ = second_order(exact, search, teacher)
    near, loss, _ = second_order(differenced, search, teacher, scale=1e-6)
    outer = losses_of(search, teacher)[1]
    direct = first_order(outer, search.weights, search.betas[GROUP]).gradient

    torch.testing.assert_close(loss, expected_loss)
    assert (near - expected).norm() < 1e-4 * expected.norm()
    assert (near - expected).norm() < 0.05 * (direct - expected).norm()


@pytest.mark.parametrize(
    "options", [{}, {"order": "second"}, {"order": "second", "gradient": "exact"}]
)
def test_beta_takes_a_step_of_adam_with_the_chosen_gradient(float64, options):
    """β after a step is what Adam makes of the oracle's gradient, weight decay included."""
    teacher, search = start(**options, beta_weight_decay=0.1)
    twin = copy.deepcopy(search)
    beta = twin.betas[0]
    inner, outer = losses_of(twin, teacher, group=0, step=0)
    if options:
        take_it = exact if "gradient" in options else DIFFERENCED
        parts = (twin.weights, beta, [None] * len(twin.weights), rates_of(twin.optimiser))
        gradient = take_it(inner, outer, *parts).gradient
    else:
        gradient = first_order(outer, twin.weights, beta).gradient
    adam = torch.optim.Adam([beta], lr=RATE, betas=(0.5, 0.999), weight_decay=0.1)
    beta.grad = gradient
    adam.step()
    take(search, teacher, 0)

    torch.testing.assert_close(search.betas[0], beta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", METHODS, ids=IDS)
def test_virtual_passes_leave_no_trace(options):
    """Weights, running statistics, gradients, momentum and β have the same bits as before."""
    teacher, search = start(**options)
    run(search, teacher, 3)
    for parameter in search.weights:
        parameter.grad = torch.ones_like(parameter)  # whatever somebody else left there
    before = everything(search)
    inner, outer = losses_of(search, teacher)
    search._meta_gradient(inner, outer, search.betas[GROUP])

    assert_same(before, everything(search))
