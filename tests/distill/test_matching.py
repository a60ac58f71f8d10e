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
    """Whichever network has more; no stem takes part, and no stage twice."""
    assert stage_pairs(net(ours), net(theirs)) == pairs


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (5, 4)])
def test_averages_keep_the_mean_where_cells_are_equal(size):
    """And a size that is there already is left alone."""
    maps = torch.randn(2, 3, 6, 6)
    found = averaged(maps, size)

    assert found.shape == (2, 3, *size)
    if 6 % size[0] == 0 and 6 % size[1] == 0:
        torch.testing.assert_close(found.mean((2, 3)), maps.mean((2, 3)))
    assert averaged(maps, (6, 6)) is maps


def test_resizing_averages_downwards_and_repeats_upwards():
    """Each in its own way."""
    maps = torch.randn(2, 3, 4, 4)

    assert torch.equal(resized(maps, (2, 2)), averaged(maps, (2, 2)))
    assert torch.equal(resized(maps, (8, 8))[..., ::2, ::2], maps)
