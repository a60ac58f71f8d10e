"""Protocols: the published one to the bit, and the same one in fewer epochs."""

import json
from dataclasses import replace

import pytest

from kdbench.engine.schedules import rate_at
from kdbench.exhibits.protocols import DISTPRO_SEARCH, IMAGENET, IMAGENET_DEIT, REVIEW
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
    """The first 151 epochs have the first rate, then it falls by ten three times."""
    recipe = replace(REVIEW, lr=base)
    for epoch in range(240):
        expected = pytest.approx(published_rate(epoch, base), rel=1e-15)
        for step in (0, 1, 200, STEPS - 1):
            assert rate_at(recipe, epoch * STEPS + step, STEPS) == expected

    first = [e for e in range(240) if rate_at(recipe, e * STEPS, STEPS) == base]
    assert first == list(range(151))


def test_the_search_rate_falls_tenfold_after_10_20_and_30_epochs():
    """Epochs are counted from 0, as in section 4.1 of DistPro."""
    rates = [rate_at(DISTPRO_SEARCH, e * STEPS, STEPS) for e in (0, 9, 10, 19, 20, 29, 30, 39)]

    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 1e-4, 1e-4])


@pytest.mark.parametrize("epochs", [4, 20, 24, 100])
def test_a_shorter_training_keeps_its_milestones_in_proportion(epochs):
    """They stay in order, and nothing else of the recipe changes."""
    short = REVIEW.shortened(epochs)

    assert short.epochs == epochs
    assert [m / epochs for m in short.milestones] == pytest.approx(
        [m / 240 for m in REVIEW.milestones], abs=1e-3 / epochs
    )
    assert list(short.milestones) == sorted(short.milestones)
    assert replace(short, epochs=240, milestones=REVIEW.milestones) == REVIEW


def test_four_epochs_of_five_steps_see_all_four_rates():
    """A training as short as those of scale smoke meets every phase of the schedule."""
    short = REVIEW.shortened(4)
    rates = [rate_at(short, step, 5) for step in range(20)]

    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4


@pytest.mark.parametrize("epochs", [None, 240])
def test_a_recipe_of_the_published_length_is_not_changed(epochs):
    """It is the same object, whether the length is given or not."""
    assert REVIEW.shortened(epochs) is REVIEW


def test_a_recipe_read_back_from_json_equals_the_written_one():
    """Its tuples come back as tuples."""
    for recipe in (REVIEW, DISTPRO_SEARCH, REVIEW.shortened(7)):
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_a_recipe_of_an_older_kind_has_the_keys_that_it_always_had():
    """Digests are made of them: what came later is named where it differs alone."""
    assert not {"schedule", "warmup_epochs", "optimiser"} & set(REVIEW.as_dict())
    assert IMAGENET.as_dict()["schedule"] == "cosine"
    later = {"optimiser": "adamw", "schedule": "cosine", "warmup_epochs": 5.0}
    assert later.items() <= IMAGENET_DEIT.as_dict().items()
    assert Recipe.from_dict(json.loads(json.dumps(IMAGENET_DEIT.as_dict()))) == IMAGENET_DEIT
