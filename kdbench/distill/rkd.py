"""Relational distillation: distances and angles between the images of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

SMALLEST = 1e-12  # of a squared distance: its root has a slope


@full_precision
def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the distances of all pairs, each network's divided by their mean.

    Args:
        student: (B, D_s) vectors.
        teacher: (B, D_t).

    Returns:
        Scalar, averaged over all B squared pairs.

    Source: Park et al., CVPR 2019, eq. 4 and 5.
    """
    return F.smooth_l1_loss(distances(student), distances(teacher))


def distances(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, B): Euclidean distances over the mean of those that are not 0; 0 for B = 1."""
    squares = vectors.square().sum(1)
    gaps = squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T
    others = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    lengths = gaps.clamp(min=SMALLEST).sqrt() * others
    mean = lengths.sum() / (lengths > 0).sum().clamp(min=1)
    return lengths / torch.where(mean > 0, mean, 1.0)  # 0 only where there is no pair


@full_precision
def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the cosines of the angles of all triples.

    Args:
        student: (B, D_s) vectors.
        teacher: (B, D_t).

    Returns:
        Scalar, averaged over all B cubed triples.

    Source: Park et al., CVPR 2019, eq. 6 and 7.
    """
    return F.smooth_l1_loss(cosines(student), cosines(teacher))


def cosines(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, B, B): [i, j, k] is the cosine of the angle at i between j and k."""
    directions = F.normalize(vectors[None, :] - vectors[:, None], dim=2)
    return directions @ directions.transpose(1, 2)


class RKD(DistillationLoss):
    """Weighs both relations of the pooled vectors.

    Args:
        student: not looked at.
        teacher: not looked at.
        weight: factor of both.
        distance: factor of `rkd_distance`.
        angle: factor of `rkd_angle`.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        distance: float,
        angle: float,
    ) -> None:
        super().__init__()
        self.weight, self.distance, self.angle = weight, distance, angle

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Two terms, {"rkd_distance": scalar, "rkd_angle": scalar}."""
        ours, theirs = student.pooled, teacher.pooled
        return {
            "rkd_distance": self.weight * self.distance * rkd_distance(ours, theirs),
            "rkd_angle": self.weight * self.angle * rkd_angle(ours, theirs),
        }
