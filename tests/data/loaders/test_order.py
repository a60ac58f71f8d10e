"""Which images a batch has, and named draws."""

import pytest
import torch

from kdbench.data.loaders.order import EpochOrder, Part, draws, steps_of
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


@pytest.mark.parametrize(("images", "batch", "ranks"), [(23, 4, 2), (41, 12, 3), (26, 8, 4)])
def test_parts_of_a_batch_are_disjoint_and_equal(images, batch, ranks):
    """Together they are the batch of one process, but for fewer images than ranks."""
    whole = EpochOrder(images, batch, seed=7)
    parts = [EpochOrder(images, batch, seed=7, part=Part(r, ranks)) for r in range(ranks)]

    assert {part.steps for part in parts} == {steps_of(images, batch, ranks)}
    for step in range(parts[0].steps):
        own = [list(part.own(step)) for part in parts]
        assert len({len(places) for places in own}) == 1
        assert len(own[0]) >= 2
        everywhere = [place for places in own for place in places]
        size = len(whole.places(0, step))
        assert everywhere == list(range(size - size % ranks))
        assert torch.equal(parts[1].places(0, step), whole.places(0, step))


@pytest.mark.parametrize("images", [1, 9, 10, 500, 501])
def test_every_image_is_measured_by_one_rank(images):
    """In the order of the split, whoever measures it; some ranks may have none."""
    starts = [start for rank in range(4) for start in Part(rank, 4).in_order(images, 5)]

    assert starts == list(range(0, images, 5))


@pytest.mark.parametrize(("batch", "ranks"), [(10, 4), (4, 4)])
def test_a_batch_that_has_no_equal_parts_of_two_images_is_refused(batch, ranks):
    """In one line that names the setting."""
    with pytest.raises(BadValue, match=f"multiple of {ranks} ranks, two images or more"):
        EpochOrder(100, batch, seed=0, part=Part(0, ranks))
