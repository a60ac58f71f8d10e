"""Held-out images and fixed shares."""

import numpy as np
import pytest

from kdbench.data.loaders.splits import held_out, take_share
from kdbench.errors import BadValue

ALONE = np.arange(1000)  # as many groups as images: no twins


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_fit_and_held_are_disjoint_and_complete(share):
    """Every position is in one of them, and both are sorted."""
    fit, held = held_out(ALONE, share, seed=1)

    assert len(held) == share * 1000
    assert sorted([*fit, *held]) == list(range(1000))
    assert (np.diff(fit) > 0).all()
    assert (np.diff(held) > 0).all()


def test_held_out_images_are_a_random_choice():
    """The seed decides, and the choice is spread over the whole set."""
    one, same, other = (held_out(ALONE, 0.2, seed)[1] for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)
    assert abs(one.mean() - 499.5) < 5 * 289 / np.sqrt(200)  # standard error of such a mean


def test_held_out_images_never_change():
    """The generator's stream is promised to stay; searches hang on it."""
    assert held_out(np.arange(10), 0.3, seed=0)[1].tolist() == [2, 4, 8]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_twins_are_on_one_side(share, seed):
    """Also triplets; the number of images held out is what it is without twins."""
    groups = ALONE.copy()
    groups[500:700] = groups[:200]
    groups[900:950] = groups[:50]
    fit, held = held_out(groups, share, seed)

    assert not set(groups[fit]) & set(groups[held])
    assert len(held) == share * 1000
    assert sorted([*fit, *held]) == list(range(1000))


def test_twins_move_no_more_images_than_they_must():
    """One pair of twins changes at most two images that are held out."""
    plain = set(held_out(ALONE, 0.5, seed=0)[1])
    groups = ALONE.copy()
    groups[1] = groups[0]
    assert (0 in plain) != (1 in plain), "chosen so that the plain choice parts them"

    assert len(plain ^ set(held_out(groups, 0.5, seed=0)[1])) == 2


def test_a_group_that_is_too_large_is_passed_over():
    """The next ones make up for it."""
    groups = np.array([0] * 8 + [1, 2, 3])
    for seed in range(5):
        assert set(held_out(groups, 0.2, seed)[1]) < {8, 9, 10}


@pytest.mark.parametrize("share", [0, 1, -1, 0.001, 0.999, 2])
def test_a_share_that_leaves_one_side_empty_is_refused(share):
    """Both sides need an image."""
    with pytest.raises(BadValue, match="100 images"):
        held_out(np.arange(100), share, 0)


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
