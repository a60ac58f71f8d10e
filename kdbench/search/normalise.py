"""From free parameters to the weights of the pathways: the method's rule and its ablations."""

from collections.abc import Callable

import torch
from torch import Tensor

from kdbench.errors import UnknownName

Normalisation = Callable[[Tensor], Tensor]


def biased_softmax(alphas: Tensor) -> Tensor:
    """Softmax of the alphas and one constant 1, of which the constant's share is left out.

    The weights, (n,), are positive and their sum is below 1: the constant lets all of them shrink.

    Source: Deng et al., DistPro, ECCV 2022, section 3.3; the constant g = 1.
    """
    return torch.cat([alphas, alphas.new_ones(1)]).softmax(0)[:-1]


def softmax(alphas: Tensor) -> Tensor:
    """Weights (n,) that are positive and sum to 1."""
    return alphas.softmax(0)


def abs_biased(alphas: Tensor) -> Tensor:
    """Alphas over one plus their absolute sum: weights (n,) of either sign."""
    return alphas / (1 + alphas.abs().sum())


def abs_(alphas: Tensor) -> Tensor:
    """Alphas over their absolute sum: weights (n,) of either sign; 0 where all alphas are 0."""
    return alphas / alphas.abs().sum().clamp_min(torch.finfo(alphas.dtype).tiny)


def sigmoid(alphas: Tensor) -> Tensor:
    """Each alpha on its own, into 0..1."""
    return alphas.sigmoid()


NORMALISATIONS: dict[str, Normalisation] = {
    "biased-softmax": biased_softmax,
    "softmax": softmax,
    "abs-biased": abs_biased,
    "abs": abs_,
    "sigmoid": sigmoid,
}


def normalisation(name: str) -> Normalisation:
    """The rule of that name.

    Raises:
        UnknownName: with the nearest name that exists.

    Source: Deng et al., DistPro, ECCV 2022, Table 7.
    """
    if name not in NORMALISATIONS:
        raise UnknownName("normalisation", name, NORMALISATIONS, where="search, normalise")
    return NORMALISATIONS[name]
