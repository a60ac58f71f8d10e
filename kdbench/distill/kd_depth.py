"""Distillation of depths: the student is to give those that the teacher gives."""

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


def kd_depth(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of two networks' depths.

    Args:
        student: (B, 1, H, W) metres, with a graph.
        teacher: (B, 1, H, W) metres of the same images; no gradient flows into them.

    Returns:
        Scalar in metres, float32 or wider, over all pixels: a teacher gives a depth where none was
        measured, too.

    Source: Deng et al., DistPro, ECCV 2022, table 6, which names the teacher's depth as the
    target and not the distance; L1 as in the loss of the measured depths is our reading.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    return (student.to(dtype) - teacher.detach().to(dtype)).abs().mean()


class DepthKD(DistillationLoss):
    """Weighs `kd_depth` between the outputs of the two networks.

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
        """One term, {"kd_depth": scalar}."""
        return {"kd_depth": self.weight * kd_depth(student.logits, teacher.logits)}
