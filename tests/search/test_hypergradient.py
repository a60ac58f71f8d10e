"""Hypergradients: by hand, against PyTorch's own optimiser, and against each other."""

import pytest
import torch
from torch import rand, randn

from kdbench.search.hypergradient import (
    Rates,
    central_difference,
    directional,
    through_mix,
    unrolled,
    virtual_step,
)

RATES = {
    "plain": Rates(lr=0.3),
    "decay": Rates(lr=0.3, weight_decay=0.1),
    "momentum": Rates(lr=0.3, momentum=0.9),
    "momentum, decay": Rates(lr=0.3, momentum=0.9, weight_decay=5e-4),
    "nesterov": Rates(lr=0.3, momentum=0.9, nesterov=True),
    "nesterov, decay": Rates(lr=0.3, momentum=0.9, nesterov=True, weight_decay=5e-4),
}


def optimiser(weights, rates):
    """PyTorch's SGD with the same constants."""
    constants = {k: getattr(rates, k) for k in ("lr", "momentum", "nesterov", "weight_decay")}
    return torch.optim.SGD(weights, **constants)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_virtual_step_is_the_optimisers_to_the_bit(name, dtype):
    """From the first step, which has no buffer yet, through four; nothing is written."""
    rates = RATES[name]
    weights = [randn(5, 3, dtype=dtype, requires_grad=True), randn(7, dtype=dtype)]
    weights[1].requires_grad_()
    real = optimiser(weights, rates)
    for _ in range(4):
        slopes = [torch.randn_like(weight) for weight in weights]
        buffers = [real.state.get(w, {}).get("momentum_buffer") for w in weights]
        before = [t.clone() for t in (*weights, *(b for b in buffers if b is not None))]
        with torch.no_grad():
            moved = virtual_step(weights, slopes, buffers, rates)
        after = [*weights, *(b for b in buffers if b is not None)]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        for weight, slope in zip(weights, slopes, strict=True):
            weight.grad = slope.clone()
        real.step()
        assert all(torch.equal(a, b) for a, b in zip(weights, moved, strict=True))


def test_a_weight_without_a_gradient_stays_as_the_optimiser_leaves_it():
    """No decay and no momentum for a weight that the loss does not read."""
    weight = randn(3)
    (moved,) = virtual_step([weight], [None], [randn(3)], RATES["nesterov, decay"])
    assert moved is weight


@pytest.mark.parametrize("lr", [0.0, 0.3])
def test_unrolled_is_the_closed_form_on_quadratics(float64, lr):
    """Inner = |w - a|²/2 moves w to w + lr (a - w); outer = |w - t|²/2 does the rest."""
    w, a = randn(6, requires_grad=True), randn(6, requires_grad=True)
    t = randn(6)
    found = unrolled(
        inner=lambda weights, alphas: (weights[0] - alphas).square().sum() / 2,
        outer=lambda weights: (weights[0] - t).square().sum() / 2,
        weights=[w],
        alphas=a,
        buffers=[None],
        rates=Rates(lr=lr),
    )
    torch.testing.assert_close(found, (lr * (w + lr * (a - w) - t)).detach())


@pytest.mark.parametrize("name", RATES)
def test_unrolled_is_the_slope_of_what_the_optimiser_really_does(float64, name):
    """Alphas are moved a little up and down, SGD takes its step, the held-out loss answers."""
    rates = RATES[name]
    start, buffer, goal, mixing = randn(4), randn(4), randn(4), randn(3, 4)
    used = buffer if rates.momentum else None

    def inner(weights, alphas):
        return (alphas @ (mixing * weights[0]).tanh()).square().sum()

    def outer(weights):
        return (weights[0] - goal).pow(4).sum()

    def after_a_real_step(alphas):
        weight = start.clone().requires_grad_()
        real = optimiser([weight], rates)
        if used is not None:
            real.state[weight]["momentum_buffer"] = buffer.clone()
        inner([weight], alphas).backward()
        real.step()
        return outer([weight]).item()

    alphas = randn(3, requires_grad=True)
    weights = [start.clone().requires_grad_()]
    found = unrolled(inner, outer, weights, alphas, [used], rates)
    for k in range(3):
        shift = torch.zeros(3)
        shift[k] = 1e-5
        up, down = (after_a_real_step(alphas.detach() + s * shift) for s in (1, -1))
        assert found[k].item() == pytest.approx((up - down) / 2e-5, rel=1e-5)


def smooth(weights):
    """Three smooth losses of two weights."""
    first, second = weights
    return torch.stack([first.sin().sum() * second.sum(), second.exp().sum(), first.pow(3).sum()])


def test_a_directional_derivative_is_the_jacobian_times_the_direction(float64):
    """Forward mode and three backward passes agree; a weight without direction stays."""
    weights = [randn(5), randn(4)]
    along = [randn(5), randn(4)]
    jacobian = torch.autograd.functional.jacobian(lambda *w: smooth(w), tuple(weights))
    expected = [matrix @ direction for matrix, direction in zip(jacobian, along, strict=True)]
    torch.testing.assert_close(directional(smooth, weights, along), sum(expected))
    torch.testing.assert_close(directional(smooth, weights, [along[0], None]), expected[0])


def test_the_central_difference_closes_in_with_the_square_of_its_step(float64):
    """Ten times nearer, a hundred times better: no slip of ε in the division."""
    weights, along = [randn(5), randn(4)], [randn(5), randn(4)]
    exact = directional(smooth, weights, along)
    errors = [
        (central_difference(smooth, weights, along, scale) - exact).norm() / exact.norm()
        for scale in (1e-1, 1e-2, 1e-3)
    ]
    assert errors[2] < 1e-6
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(100, rel=0.05)


def test_the_central_difference_stands_at_the_two_published_points(float64):
    """Weights ± 0.01 v / |v|, once each, and a weight without direction not moved at all."""
    seen = []

    def spy(weights):
        seen.append([weight.clone() for weight in weights])
        return weights[0].sum()[None]

    weights, v = [randn(5), randn(4)], randn(5)
    central_difference(spy, weights, [v, None])
    for sign, (first, second) in zip((1, -1), seen, strict=True):
        torch.testing.assert_close(first, weights[0] + sign * 0.01 * v / v.norm())
        assert torch.equal(second, weights[1])


def test_a_direction_of_zero_gives_zero():
    """No division by zero."""
    weights = [randn(5), randn(4)]
    still = [torch.zeros(5), torch.zeros(4)]
    assert torch.equal(central_difference(smooth, weights, still), torch.zeros(3))
    assert torch.equal(directional(smooth, weights, still), torch.zeros(3))


@pytest.mark.parametrize("probe", [directional, central_difference])
def test_passes_run_in_full_precision_and_without_a_graph(probe):
    """Even where the caller computes in bfloat16."""
    matrix, weight = randn(4, 4), randn(4, requires_grad=True)
    kinds = []

    def losses(weights):
        product = matrix @ weights[0]
        kinds.append((product.dtype, torch.is_autocast_enabled("cpu")))
        return product

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = probe(losses, [weight], [randn(4)])
    assert set(kinds) == {(torch.float32, False)}
    assert not found.requires_grad


def test_the_mix_carries_a_gradient_back_to_the_alphas(float64):
    """Transposed Jacobian of the softmax, by hand."""
    alphas = randn(4, requires_grad=True)
    slope = rand(4)
    w = alphas.softmax(0)
    found = through_mix(w, alphas, slope)
    torch.testing.assert_close(found, (w * (slope - (w * slope).sum())).detach())


def test_reach_counts_the_fresh_gradient_twice_under_nesterov():
    """1.9 learning rates at momentum 0.9, else one."""
    assert RATES["nesterov"].reach == pytest.approx(0.3 * 1.9)
    assert RATES["momentum"].reach == RATES["plain"].reach == 0.3
