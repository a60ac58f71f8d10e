"""Hypergradients: by hand, against PyTorch's own optimiser, and against each other."""

from functools import partial

import pytest
import torch
from torch import rand, randn

from kdbench.engine.precision import set_formats
from kdbench.search.hypergradient import (
    Rates,
    central_difference,
    exact_jvp,
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
DIFFERENCE = partial(central_difference, scale=0.01)  # as DARTS and the release of DistPro


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
        gradients = [torch.randn_like(weight) for weight in weights]
        buffers = [real.state.get(w, {}).get("momentum_buffer") for w in weights]
        before = [t.clone() for t in (*weights, *(b for b in buffers if b is not None))]
        with torch.no_grad():
            moved = virtual_step(weights, gradients, buffers, rates)
        after = [*weights, *(b for b in buffers if b is not None)]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.clone()
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
    gradient = unrolled(
        inner=lambda weights, alphas: (weights[0] - alphas).square().sum() / 2,
        outer=lambda weights: (weights[0] - t).square().sum() / 2,
        weights=[w],
        alphas=a,
        buffers=[None],
        rates=Rates(lr=lr),
    )
    torch.testing.assert_close(gradient, (lr * (w + lr * (a - w) - t)).detach())


@pytest.mark.parametrize("name", RATES)
def test_unrolled_is_the_numerical_gradient_through_a_real_optimiser_step(float64, name):
    """Alphas are moved a little up and down, SGD takes its step, the validation loss is taken."""
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
    gradient = unrolled(inner, outer, weights, alphas, [used], rates)
    for k in range(3):
        shift = torch.zeros(3)
        shift[k] = 1e-5
        up, down = (after_a_real_step(alphas.detach() + s * shift) for s in (1, -1))
        assert gradient[k].item() == pytest.approx((up - down) / 2e-5, rel=1e-5)


def smooth(weights):
    """Three smooth losses of two weights."""
    first, second = weights
    return torch.stack([first.sin().sum() * second.sum(), second.exp().sum(), first.pow(3).sum()])


def test_the_exact_jvp_is_the_jacobian_times_the_direction(float64):
    """Forward mode and three backward passes agree; a weight without direction stays."""
    weights = [randn(5), randn(4)]
    along = [randn(5), randn(4)]
    jacobian = torch.autograd.functional.jacobian(lambda *w: smooth(w), tuple(weights))
    expected = [matrix @ direction for matrix, direction in zip(jacobian, along, strict=True)]
    torch.testing.assert_close(exact_jvp(smooth, weights, along), sum(expected))
    torch.testing.assert_close(exact_jvp(smooth, weights, [along[0], None]), expected[0])


def test_the_error_of_the_central_difference_shrinks_with_the_square_of_its_step(float64):
    """At a tenth of the scale it is a hundred times smaller: ε is the one it is divided by."""
    weights, along = [randn(5), randn(4)], [randn(5), randn(4)]
    exact = exact_jvp(smooth, weights, along)
    errors = [
        (central_difference(smooth, weights, along, scale=scale) - exact).norm() / exact.norm()
        for scale in (1e-1, 1e-2, 1e-3)
    ]
    assert errors[2] < 1e-6
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(100, rel=0.05)


def test_the_central_difference_evaluates_the_two_published_points(float64):
    """Weights ± 0.01 v / |v|, once each; a weight without direction is not moved at all."""
    points = []

    def spy(weights):
        points.append([weight.clone() for weight in weights])
        return weights[0].sum()[None]

    weights, v = [randn(5), randn(4)], randn(5)
    DIFFERENCE(spy, weights, [v, None])
    for sign, (first, second) in zip((1, -1), points, strict=True):
        torch.testing.assert_close(first, weights[0] + sign * 0.01 * v / v.norm())
        assert torch.equal(second, weights[1])


def test_the_derivative_along_a_zero_direction_is_zero():
    """Exactly, of both ways to take it: nothing is divided by zero."""
    weights = [randn(5), randn(4)]
    still = [torch.zeros(5), torch.zeros(4)]
    assert torch.equal(DIFFERENCE(smooth, weights, still), torch.zeros(3))
    assert torch.equal(exact_jvp(smooth, weights, still), torch.zeros(3))


@pytest.mark.parametrize("jvp", [exact_jvp, DIFFERENCE], ids=["exact", "difference"])
def test_passes_run_in_full_precision_and_without_a_graph(jvp):
    """They do even where the caller computes in bfloat16."""
    matrix, weight = randn(4, 4), randn(4, requires_grad=True)
    kinds = []

    def losses(weights):
        product = matrix @ weights[0]
        kinds.append((product.dtype, torch.is_autocast_enabled("cpu")))
        return product

    with torch.autocast("cpu", dtype=torch.bfloat16):
        derivative = jvp(losses, [weight], [randn(4)])
    assert set(kinds) == {(torch.float32, False)}
    assert not derivative.requires_grad


def test_the_two_points_are_computed_without_tf32():
    """Their difference is noise in its ten bits; afterwards convolutions are in TF32 again."""
    formats = []

    def losses(weights):
        formats.append(torch.backends.cudnn.allow_tf32)
        return weights[0]

    set_formats("tf32")
    try:
        DIFFERENCE(losses, [randn(4, requires_grad=True)], [randn(4)])
        formats.append(torch.backends.cudnn.allow_tf32)
    finally:
        set_formats("float32")

    assert formats == [False, False, True]


def test_the_mix_carries_a_gradient_back_to_the_alphas(float64):
    """It is multiplied by the transposed Jacobian of the softmax, written out by hand."""
    alphas = randn(4, requires_grad=True)
    gradient = rand(4)
    w = alphas.softmax(0)
    expected = (w * (gradient - (w * gradient).sum())).detach()
    torch.testing.assert_close(through_mix(w, alphas, gradient), expected)


def test_the_step_scale_counts_the_fresh_gradient_twice_under_nesterov():
    """It is 1.9 learning rates at momentum 0.9 with Nesterov, and one without."""
    assert RATES["nesterov"].step_scale == pytest.approx(0.3 * 1.9)
    assert RATES["momentum"].step_scale == RATES["plain"].step_scale == 0.3
