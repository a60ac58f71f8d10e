"""Protocols: the published one to the bit, and the same one in fewer epochs."""

import json
from dataclasses import replace

import pytest

from kdbench.engine.schedules import rate_at
from kdbench.exhibits.protocols import DISTPRO_SEARCH, REVIEW
from kdbench.exhibits.recipe import Recipe

STEPS = 391  # batches of 128 in 50,000 images


def published_rate(epoch, base):
    """The released code's rule, with its numbers: it counts epochs from 1."""
    rate = base
    for stage in (150, 180, 210):
        if epoch + 1 > stage + 1:
            rate *= 0.1
    return rate


@pytest.mark.parametrize("base", [0.1, 0.02])
def test_the_learning_rate_is_the_published_one_at_every_step(base):
    """151 epochs at the first rate, then three falls by ten; no step of any epoch differs."""
    recipe = replace(REVIEW, lr=base)
    for epoch in range(240):
        expected = pytest.approx(published_rate(epoch, base), rel=1e-15)
        for step in (0, 1, 200, STEPS - 1):
            assert rate_at(recipe, epoch * STEPS + step, STEPS) == expected

    first = [e for e in range(240) if rate_at(recipe, e * STEPS, STEPS) == base]
    assert first == list(range(151))


def test_the_search_rate_falls_at_10_20_and_30():
    """Epochs counted from 0, as in section 4.1 of DistPro."""
    rates = [rate_at(DISTPRO_SEARCH, e * STEPS, STEPS) for e in (0, 9, 10, 19, 20, 29, 30, 39)]

    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 1e-4, 1e-4])


@pytest.mark.parametrize("epochs", [4, 20, 24, 100])
def test_a_shorter_training_keeps_the_places_of_its_milestones(epochs):
    """In proportion to the length, and still in order and inside it; all else is as it was."""
    short = REVIEW.shortened(epochs)

    assert short.epochs == epochs
    assert [m / epochs for m in short.milestones] == pytest.approx(
        [m / 240 for m in REVIEW.milestones], abs=1e-3 / epochs
    )
    assert list(short.milestones) == sorted(short.milestones)
    assert replace(short, epochs=240, milestones=REVIEW.milestones) == REVIEW


def test_every_phase_of_the_schedule_is_met_in_twenty_steps():
    """Scale smoke: four epochs of five steps see all four rates."""
    short = REVIEW.shortened(4)
    rates = [rate_at(short, step, 5) for step in range(20)]

    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4


@pytest.mark.parametrize("epochs", [None, 240])
def test_the_published_length_is_left_alone(epochs):
    """No rounding touches the published milestones."""
    assert REVIEW.shortened(epochs) is REVIEW


def test_a_recipe_survives_the_trip_through_json():
    """Tuples come back as tuples."""
    for recipe in (REVIEW, DISTPRO_SEARCH, REVIEW.shortened(7)):
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe
