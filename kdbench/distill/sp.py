"""Similarity-preserving distillation: which images of a batch look alike."""

import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def sp(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two similarity matrices.

    A similarity matrix holds the inner products of all pairs of flattened maps of a batch; each
    of its rows is divided by its L2 norm.

    Args:
        student: (B, C_s, H_s, W_s).
        teacher: (B, C_t, H_t, W_t); sizes and channels need not agree.

    Returns:
        Scalar: the squared Frobenius norm of the difference over B squared.

    Source: Tung & Mori, ICCV 2019, eq. 1 to 4.
    """
    return (similarity(student) - similarity(teacher)).square().mean()


def similarity(maps: Tensor) -> Tensor:
    """(B, ...) -> (B, B) with rows of L2 norm 1."""
    flat = maps.flatten(1)
    return F.normalize(flat @ flat.T)


class SP(DistillationLoss):
    """Weighs `sp` of the last stage's maps.

    Args:
        student: not looked at.
        teacher: not looked at.
        weight: factor of the term.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"sp": scalar}."""
        return {"sp": self.weight * sp(student.out[-1], teacher.out[-1])}
