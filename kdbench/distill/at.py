"""Attention transfer: where a network looks, per stage."""

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
def at(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two attention maps.

    An attention map is the mean over the channels of the squared activations, flattened and
    divided by its L2 norm.

    Args:
        student: (B, C_s, H, W).
        teacher: (B, C_t, H_t, W_t); the larger map is averaged to the size of the smaller.

    Returns:
        Scalar, averaged over images and places.

    Source: Zagoruyko & Komodakis, ICLR 2017, eq. 2 (sum of squares; the factor is lost in the
    norm), with the mean of RepDistiller in place of the norm of the difference.
    """
    ours, theirs = (attention(maps) for maps in at_smaller_size(student, teacher))
    return (ours - theirs).square().mean()


def attention(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W), each row of L2 norm 1."""
    return F.normalize(maps.square().mean(1).flatten(1))


class AT(DistillationLoss):
    """Weighs the sum of `at` over all stages but the stem.

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
        """One term, {"at": scalar}."""
        stages = [at(student.out[i], teacher.out[j]) for i, j in self.pairs]
        return {"at": self.weight * torch.stack(stages).sum()}
