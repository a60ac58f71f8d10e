"""Which stages of two networks are compared."""

from types import SimpleNamespace

import pytest
import torch

from kdbench.distill.matching import averaged, resized, stage_pairs


def net(stages):
    """Something with so many stages, the stem included."""
    return SimpleNamespace(stages=range(stages))


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        (4, 4, [(1, 1), (2, 2), (3, 3)]),
        (4, 5, [(1, 2), (2, 3), (3, 4)]),
        (5, 4, [(2, 1), (3, 2), (4, 3)]),
        (6, 3, [(4, 1), (5, 2)]),
        (2, 4, [(1, 3)]),
    ],
)
def test_stages_are_matched_from_the_deep_end_without_the_stems(ours, theirs, pairs):
    """Whichever network has more; no stage is in two pairs."""
    assert stage_pairs(net(ours), net(theirs)) == pairs


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (5, 4)])
def test_averaging_gives_the_size_and_keeps_the_mean_of_equal_cells(size):
    """A map that has the size already is returned itself."""
    maps = torch.randn(2, 3, 6, 6)
    means = averaged(maps, size)

    assert means.shape == (2, 3, *size)
    if 6 % size[0] == 0 and 6 % size[1] == 0:
        torch.testing.assert_close(means.mean((2, 3)), maps.mean((2, 3)))
    assert averaged(maps, (6, 6)) is maps


def test_resizing_averages_to_smaller_and_repeats_to_larger_sizes():
    """A smaller map is that of `averaged`; a larger one holds each cell of the map."""
    maps = torch.randn(2, 3, 4, 4)

    assert torch.equal(resized(maps, (2, 2)), averaged(maps, (2, 2)))
    assert torch.equal(resized(maps, (8, 8))[..., ::2, ::2], maps)
