"""Which images a batch has, and named draws."""

import pytest
import torch

from kdbench.data.loaders.order import EpochOrder, draws, steps_of
from kdbench.errors import BadValue


@pytest.mark.parametrize(
    ("images", "batch", "steps"),
    [(23, 4, 6), (24, 4, 6), (25, 4, 6), (26, 4, 7), (3, 4, 1), (1, 4, 0), (5, 1, 5)],
)
def test_a_last_batch_of_one_image_is_left_out(images, batch, steps):
    """Batch norm needs two; larger remainders are kept as in the official codes."""
    assert steps_of(images, batch) == steps


def test_named_draws_are_apart():
    """A generator of its own for every name and number, and no confusion of 1, 11 with 11, 1."""
    keys = [(1, "order", 11), (11, "order", 1), (1, "augment", 11), (1, "order", 1, 1)]
    first = {float(torch.rand((), generator=draws(*key))) for key in keys}

    assert len(first) == len(keys)


def test_named_draws_never_change():
    """Every training hangs on these numbers, so they are for ever."""
    assert draws(7, "order", 0).initial_seed() == 915880304
    assert draws(7, "augment", 2, 5).initial_seed() == 463453243


def test_the_order_of_an_epoch_never_changes():
    """Its first and its last batch, as they have always been."""
    order = EpochOrder(10, 4, seed=7)

    assert order.places(2, 0).tolist() == [0, 5, 8, 4]
    assert order.places(2, 2).tolist() == [9, 7]


def test_batches_depend_on_seed_epoch_and_step_alone():
    """One that was asked for other epochs gives the same as a new one."""
    used, asked = EpochOrder(10, 4, seed=7), [(3, 1), (0, 2), (3, 0), (3, 1)]

    for key in asked:
        assert torch.equal(used.places(*key), EpochOrder(10, 4, seed=7).places(*key))
    assert not torch.equal(used.places(3, 1), EpochOrder(10, 4, seed=8).places(3, 1))


@pytest.mark.parametrize(("most", "steps"), [(None, 3), (2, 2), (99, 3)])
def test_an_epoch_ends_after_its_steps(most, steps):
    """All of them or the first few; a step beyond, or before the first, is an error."""
    order = EpochOrder(10, 4, seed=7, steps_per_epoch=most)

    assert order.steps == steps
    assert order.places(0, steps - 1).tolist() == EpochOrder(10, 4, 7).places(0, steps - 1).tolist()
    for step in (steps, -1):
        with pytest.raises(IndexError, match=f"step {step} of an epoch of {steps}"):
            order.places(0, step)


@pytest.mark.parametrize(("images", "most"), [(1, None), (0, None), (10, 0)])
def test_an_order_without_a_batch_is_refused(images, most):
    """Before a loader is made of it."""
    with pytest.raises(BadValue, match=f"a batch of {images} images"):
        EpochOrder(images, 4, seed=7, steps_per_epoch=most)
