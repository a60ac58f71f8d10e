"""The proximal step against loops over single numbers, and its fixed points."""

import math

import pytest
import torch
from torch import rand, randn

from kdbench.errors import UnknownName
from kdbench.search.proximal import Momenta, accelerated_step, momenta, soft_threshold


def slow_steps(gates, gradients, prices, *, lr, scheme, nonnegative, mu=0.9):
    """The printed formulas, one gate and one number at a time; gradients are functions."""
    ends = []
    for g, gradient, price in zip(gates, gradients, prices, strict=True):
        v = 0.0
        for k in range(1, 8):
            before = mu if scheme == "fixed" else (k - 2) / (k + 1)
            now = mu if scheme == "fixed" else ((k + 1) - 2) / ((k + 1) + 1)
            z = g - lr * gradient(g)
            s = math.copysign(max(abs(z) - lr * price, 0.0), z)
            v = s - g + before * v
            g = s + now * v
            if nonnegative:
                g = max(g, 0.0)
        ends.append((g, v))
    return ends


@pytest.mark.parametrize("scheme", ["fixed", "growing"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_seven_steps_are_those_of_a_loop(float64, scheme, nonnegative):
    """Gates and velocities agree, of a smooth loss and prices that differ from gate to gate."""
    gates, curve, centre, prices = 2 * randn(20), 4 * rand(20), randn(20), rand(20)
    pairs = torch.stack([curve, centre], 1).tolist()
    gradients = [lambda g, a=a, c=c: a * (g - c) for a, c in pairs]
    options = {"lr": 0.3, "nonnegative": nonnegative}
    expected = slow_steps(gates.tolist(), gradients, prices.tolist(), scheme=scheme, **options)
    velocity = torch.zeros(20)
    for k in range(1, 8):
        gradient, factors = curve * (gates - centre), momenta(scheme, k, 0.9)
        accelerated_step(gates, gradient, velocity, strengths=prices, factors=factors, **options)
    torch.testing.assert_close(torch.stack([gates, velocity], 1), torch.tensor(expected))
    assert (gates < 0).any() != nonnegative


@pytest.mark.parametrize("scheme", ["fixed", "growing"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_the_minimum_is_reached_and_stays(float64, scheme, nonnegative):
    """Of a (g - c)² / 2 + price |g| it is c, nearer 0 by price / a, and exactly 0 within that."""
    curve, centre, price = 0.5 + rand(50), 2 * randn(50), 0.5 + rand(50)
    optimum = soft_threshold(centre, price / curve)
    optimum = optimum.clamp_min(0) if nonnegative else optimum
    gates, velocity = torch.ones(50), torch.zeros(50)
    options = {"lr": 0.1, "nonnegative": nonnegative}
    for k in range(1, 3000):
        gradient, factors = curve * (gates - centre), momenta(scheme, k, 0.9)
        accelerated_step(gates, gradient, velocity, strengths=price, factors=factors, **options)
    torch.testing.assert_close(gates, optimum, rtol=1e-6, atol=1e-6)
    assert (optimum == 0).sum() > 5 and bool((gates[optimum == 0] == 0).all())


def test_a_gate_without_gradient_needs_as_many_steps_as_its_bound_says(float64):
    """It moves about η λ / (1 - μ) per step: from 1, with 0.01, 1e-3 and 0.9, 10,000 steps."""
    gates, velocity = torch.ones(1), torch.zeros(1)
    steps, zero, options = 0, torch.zeros(1), {"lr": 0.01, "nonnegative": True}
    strengths, factors = torch.tensor([1e-3]), momenta("fixed", 1, 0.9)
    while gates.item() > 0:
        accelerated_step(gates, zero, velocity, strengths=strengths, factors=factors, **options)
        steps += 1
    assert 9_900 < steps < 10_100


def test_soft_thresholds_move_to_zero_and_no_further():
    """They do from either side; a width of 0 changes nothing."""
    values = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
    assert soft_threshold(values, 1.0).tolist() == [-1.0, 0.0, 0.0, 0.0, 1.0]
    assert torch.equal(soft_threshold(values, 0.0), values)


def test_growing_momenta_are_the_published_ones_and_fixed_ones_stay():
    """μ_{k-1} multiplies the velocity, μ_k the gates; an unknown scheme is refused by name."""
    assert [momenta("growing", k, 0.9) for k in (1, 2, 3)] == [(-0.5, 0), (0, 0.25), (0.25, 0.4)]
    assert momenta("fixed", 100, 0.8) == Momenta(0.8, 0.8)
    with pytest.raises(UnknownName, match="did you mean 'fixed'"):
        momenta("fixd", 1, 0.9)
