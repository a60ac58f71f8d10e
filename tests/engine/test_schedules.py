"""Learning rates."""

from dataclasses import replace
from itertools import pairwise
from math import cos, pi

import pytest

from kdbench.engine.schedules import rate_at
from kdbench.exhibits.protocols import DISTPRO_SEARCH, IMAGENET, IMAGENET_DEIT, REVIEW


def rates(recipe, steps_per_epoch):
    """The rate of every step of a training."""
    return [rate_at(recipe, s, steps_per_epoch) for s in range(recipe.epochs * steps_per_epoch)]


def test_the_published_rate_falls_between_two_epochs():
    """ReviewKD's code: 151 epochs of 0.1, then 30 of 0.01, 30 of 0.001, 29 of 0.0001."""
    by_step = rates(REVIEW, 7)

    expected = [(0.1, 151), (0.01, 30), (0.001, 30), (0.0001, 29)]
    assert by_step == pytest.approx([rate for rate, epochs in expected for _ in range(7 * epochs)])


def test_the_search_has_four_equal_parts():
    """DistPro, section 4.1: 40 epochs, the rate falls at 10, 20 and 30."""
    by_step = rates(DISTPRO_SEARCH, 3)
    parts = [by_step[i * 30 : (i + 1) * 30] for i in range(4)]

    assert [set(part) for part in parts] == [{part[0]} for part in parts]
    assert [part[0] for part in parts] == pytest.approx([0.1, 0.01, 0.001, 0.0001])


@pytest.mark.parametrize("epochs", [2, 4, 8, 20])
def test_a_short_training_meets_every_rate(epochs):
    """Milestones keep their place, as fractions of an epoch where it must be."""
    by_step = rates(REVIEW.shortened(epochs), 30)

    assert by_step == sorted(by_step, reverse=True)
    assert len({round(rate, 8) for rate in by_step}) == 4
    share = by_step.count(0.1) / len(by_step)
    assert share == pytest.approx(151 / 240, abs=1 / len(by_step))


def test_without_milestones_the_rate_is_constant():
    """Three epochs of five steps at 0.1."""
    assert set(rates(replace(REVIEW, milestones=(), epochs=3), 5)) == {0.1}


def test_a_cosine_falls_at_every_step_from_the_first_rate_to_almost_nothing():
    """Half a period over the whole training, whatever its length."""
    for epochs in (10, 100):
        recipe = IMAGENET.shortened(epochs)
        by_step = rates(recipe, 5)
        expected = [0.05 * (1 + cos(pi * step / (5 * epochs))) for step in range(5 * epochs)]
        assert by_step == pytest.approx(expected, rel=1e-12)
        assert all(later < rate for rate, later in pairwise(by_step))


def test_a_warm_up_rises_linearly_to_the_rate_of_its_schedule():
    """DeiT's five epochs of 150; in a short training the same share."""
    by_step = rates(IMAGENET_DEIT, 4)
    cosine = rates(replace(IMAGENET_DEIT, warmup_epochs=0.0), 4)

    shares = [rate / plain for rate, plain in zip(by_step, cosine, strict=True)]
    assert shares == pytest.approx([min(1.0, (step + 1) / 20) for step in range(600)])
    assert IMAGENET_DEIT.shortened(30).warmup_epochs == 1.0
