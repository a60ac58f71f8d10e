"""Normalisations against their formulas, and the one property each is for."""

from math import exp

import pytest
import torch
from torch import randn, tensor

from kdbench.errors import UnknownName
from kdbench.search.normalise import NORMALISATIONS, normalisation


def by_hand(name, a):
    """The formulas of Table 7, with floats."""
    absolute = sum(abs(v) for v in a)
    exps = [exp(v) for v in a]
    return {
        "biased-softmax": [e / (sum(exps) + exp(1)) for e in exps],
        "softmax": [e / sum(exps) for e in exps],
        "abs-biased": [v / (absolute + 1) for v in a],
        "abs": [v / absolute for v in a],
        "sigmoid": [1 / (1 + exp(-v)) for v in a],
    }[name]


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_a_normalisation_is_its_formula(float64, name):
    """It is the formula of Table 7 for alphas of either sign."""
    alphas = randn(7)
    expected = tensor(by_hand(name, alphas.tolist()))
    torch.testing.assert_close(normalisation(name)(alphas), expected)


def test_a_search_starts_with_equal_weights():
    """Where all alphas are 1, each of n weights is 1 / (n + 1)."""
    weights = normalisation("biased-softmax")(torch.ones(27))
    torch.testing.assert_close(weights, torch.full((27,), 1 / 28))


def test_only_the_biased_softmax_can_vanish():
    """Very negative alphas leave nothing to the pathways; the plain softmax keeps its sum."""
    low = torch.full((5,), -50.0)
    assert normalisation("biased-softmax")(low).sum() < 1e-20
    assert normalisation("softmax")(low).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_no_normalisation_makes_nan(name):
    """Its weights are finite at zero and far from it."""
    for alphas in (torch.zeros(4), torch.full((4,), 300.0), torch.full((4,), -300.0)):
        assert normalisation(name)(alphas).isfinite().all()


def test_an_unknown_normalisation_is_named():
    """The message suggests the nearest that exists."""
    with pytest.raises(UnknownName, match="did you mean 'biased-softmax'"):
        normalisation("biased_softmax")
