"""How fast a search of any length moves its gates, against steps that are really taken."""

import numpy as np
import pytest
import torch

from kdbench.models.families.densenet import DenseNet
from kdbench.models.pruning.build import layout_of
from kdbench.search.gate_price import FASTEST, charges, pace, penalty_alone
from kdbench.search.proximal import accelerated_step, momenta, travel

PUBLISHED = {"of_steps": 117300, "lr": 0.01, "price": 1e-3, "scheme": "fixed", "mu": 0.9}


def layout():
    """Readers of a small dense network."""
    return layout_of(DenseNet(10, 4, classes=5, image=(3, 8, 8)))


@pytest.mark.parametrize("scheme", ["fixed", "growing"])
def test_a_gate_travels_as_far_as_real_steps_take_it(float64, scheme):
    """Step by step; the charge of a step is η times what the gate pays."""
    gates, velocity = torch.full((1,), 1000.0), torch.zeros(1)
    for step, distance in enumerate(travel(scheme, 0.9, 40), 1):
        accelerated_step(
            gates,
            torch.zeros(1),
            velocity,
            lr=0.5,
            strengths=torch.tensor([3.0]),
            factors=momenta(scheme, step, 0.9),
            nonnegative=True,
        )
        assert 1000 - gates.item() == pytest.approx(1.5 * distance)


@pytest.mark.parametrize("steps", [117300, 11730, 3910])
def test_up_to_thirty_times_shorter_the_gates_are_faster_and_the_price_stays(steps):
    """The rate times the steps, and the ratio of loss and penalty, are the published ones."""
    lr, price = pace(steps, **PUBLISHED, last=0.4, resistance=2.0)
    assert lr * steps == pytest.approx(0.01 * 117300)
    assert price == 1e-3


@pytest.mark.parametrize("scheme", ["fixed", "growing"])
@pytest.mark.parametrize("steps", [16, 120, 1000])
def test_far_shorter_the_penalty_alone_meets_the_budget_at_four_fifths(float64, scheme, steps):
    """The gate that closes last for it is at 0 after 80 % of the steps and not one step before."""
    settings = {**PUBLISHED, "scheme": scheme}
    lr, price = pace(steps, **settings, last=0.4, resistance=1.0)
    assert lr == pytest.approx(0.01 * FASTEST)
    reached = lr * price * 0.4 * np.array(travel(scheme, 0.9, steps))
    if price > 1e-3:
        assert (reached < 1 - 1e-9).sum() + 1 == round(0.8 * steps)
    else:
        assert reached[round(0.8 * steps) - 1] >= 1


def test_another_price_and_what_the_loss_resists_are_factors():
    """Twice the published price is twice as dear at any length, as is twice the resistance."""
    lr, price = pace(120, **PUBLISHED, last=0.4, resistance=1.0)
    assert pace(120, **PUBLISHED, last=0.4, resistance=2.0) == (lr, pytest.approx(2 * price))
    twice = {**PUBLISHED, "price": 2e-3}
    assert pace(120, **twice, last=0.4, resistance=1.0) == (lr, pytest.approx(2 * price))
    assert pace(120, **{**PUBLISHED, "price": 0.0}, last=0.4, resistance=1.0).price == 0


def test_a_budget_that_no_gate_can_meet_is_priced_by_the_cheapest():
    """There is no such student; a price there is."""
    readers = layout()
    alphas = charges(readers, weighted=True, saving="with-maker")
    alone = penalty_alone(readers, alphas, 0.0)
    assert alone.plan is None
    assert alone.last == alphas[alphas > 0].min()
