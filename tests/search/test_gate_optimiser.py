"""The median over some gates, as PyTorch takes it, without a look at how many they are."""

import pytest
import torch

from kdbench.search.gate_optimiser import median_where


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 6, 7, 40])
def test_median_where_is_the_median_of_the_chosen(size, share):
    """Of even and odd numbers of them, of none, with infinite values and without."""
    rng = torch.Generator().manual_seed(size)
    for _ in range(20):
        values = torch.rand(size, generator=rng)
        values[torch.rand(size, generator=rng) < 0.2] = torch.inf
        chosen = torch.rand(size, generator=rng) < share
        expected = values[chosen].median()
        median = median_where(chosen, values)
        assert torch.equal(median.nan_to_num(-1.0), expected.nan_to_num(-1.0))
        assert median.shape == expected.shape and median.dtype == expected.dtype


def test_what_is_not_a_number_counts_only_where_it_is_chosen():
    """As for PyTorch's median."""
    values = torch.tensor([1.0, torch.nan, 3.0])

    assert median_where(torch.tensor([True, True, False]), values).isnan()
    assert median_where(torch.tensor([True, False, True]), values) == 1.0
