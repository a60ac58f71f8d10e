"""Neuron selectivity transfer: the distributions of activation patterns, matched by MMD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import at_smaller_size, stage_pairs
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def nst(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two sets of channels, polynomial kernel of degree 2.

    A channel's pattern is its flattened map divided by its L2 norm; the kernel of two patterns is
    their squared inner product.

    Args:
        student: (B, C_s, H, W).
        teacher: (B, C_t, H_t, W_t); the larger map is averaged to the size of the smaller.

    Returns:
        Scalar, averaged over the batch; at least 0.

    Source: Huang & Wang, 2017, eq. 3 and 6 with c = 0, d = 2.
    """
    ours, theirs = (patterns(maps) for maps in at_smaller_size(student, teacher))
    own = kernel_mean(theirs, theirs) + kernel_mean(ours, ours)
    return own - 2 * kernel_mean(ours, theirs)


def patterns(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H W), each row of L2 norm 1."""
    return F.normalize(maps.flatten(2), dim=2)


def kernel_mean(one: Tensor, other: Tensor) -> Tensor:
    """Mean of the squared inner products of (B, C, D) and (B, E, D) patterns of an image."""
    return (one @ other.transpose(1, 2)).square().mean()


class NST(DistillationLoss):
    """Weighs the sum of `nst` over all stages but the stem.

    Args:
        student: gives the number of its stages.
        teacher: the same.
        weight: factor of the sum.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float) -> None:
        super().__init__()
        self.pairs = stage_pairs(student, teacher)
        self.weight = weight

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"nst": scalar}."""
        stages = [nst(student.out[i], teacher.out[j]) for i, j in self.pairs]
        return {"nst": self.weight * torch.stack(stages).sum()}
