"""Held-out images and fixed shares."""

import numpy as np
import pytest

from kdbench.data.loaders.splits import held_out, take_share
from kdbench.errors import BadValue


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_fit_and_held_are_disjoint_and_complete(share):
    """Every position is in one of them, and both are sorted."""
    fit, held = held_out(1000, share, seed=1)

    assert len(held) == share * 1000
    assert sorted([*fit, *held]) == list(range(1000))
    assert (np.diff(fit) > 0).all()
    assert (np.diff(held) > 0).all()


def test_held_out_images_are_a_random_choice():
    """The seed decides, and the choice is spread over the whole set."""
    one, same, other = (held_out(1000, 0.2, seed)[1] for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)
    assert abs(one.mean() - 499.5) < 5 * 289 / np.sqrt(200)  # standard error of such a mean


def test_held_out_images_never_change():
    """The generator's stream is promised to stay; searches hang on it."""
    assert held_out(10, 0.3, seed=0)[1].tolist() == [2, 4, 8]


@pytest.mark.parametrize("share", [0, 1, -1, 0.001, 0.999, 2])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    """Both sides need an image."""
    with pytest.raises(BadValue, match="100 images"):
        held_out(100, share, 0)


def test_a_share_takes_the_first_of_every_class():
    """Classes stay in balance, and the choice is fixed."""
    labels = np.repeat([0, 1, 2], [10, 20, 4])

    assert take_share(labels, 0.5).tolist() == [*range(5), *range(10, 20), 30, 31]
    assert take_share(labels, 0.01).tolist() == [0, 10, 30]
    assert take_share(labels, 1).tolist() == list(range(34))


def test_larger_shares_contain_smaller_ones():
    """Results of two shares stay comparable."""
    labels = np.repeat(np.arange(5), 40)

    assert set(take_share(labels, 0.1)) < set(take_share(labels, 0.2))


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_a_share_out_of_range_is_refused(share):
    """A share is a part of the whole."""
    with pytest.raises(BadValue, match="share"):
        take_share(np.arange(3), share)
