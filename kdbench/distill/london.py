"""Lipschitz continuity guided distillation: both networks stretch their maps alike."""

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.kd import kd
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import stage_pairs
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

ROUNDS = 10  # of the power iteration; the first eigenvalue of positive matrices stands far out
EPS = 1e-12


@full_precision
def gain(before: Tensor, after: Tensor) -> Tensor:
    """How much a part of a network stretches its input, seen from one batch.

    For a linear part, after = before @ W, this is the norm of W along the batch's main direction.
    It is the spectral norm of the transmitting matrix (before.T @ after) over that of before.T @
    before, found by power iteration on B × B matrices of inner products, which have the same
    eigenvalues.

    Args:
        before: (B, ...) maps that enter the part.
        after: (B, ...) maps that leave it.

    Returns:
        Scalar, above 0.

    Source: Shang et al., ICCV 2021, section 3.2, as we read it.
    """
    first, second = (x.flatten(1) @ x.flatten(1).T for x in (before, after))
    return spectral(first @ second).sqrt() / spectral(first).clamp(min=EPS)


def spectral(matrix: Tensor) -> Tensor:
    """Largest eigenvalue of a (B, B) product of positive semidefinite matrices, a scalar.

    The vectors are found without a graph; the quotient at the end carries it, which gives the
    gradient of a simple eigenvalue (left and right eigenvectors).
    """
    with torch.no_grad():
        right = left = matrix.new_ones(len(matrix)) / len(matrix) ** 0.5
        for _ in range(ROUNDS):
            right = _unit(matrix @ right)
            left = _unit(matrix.T @ left)
    angle = left @ right  # of either sign; 0 only where the iteration has not begun to converge
    angle = torch.where(angle.abs() < EPS, EPS, angle)
    quotient: Tensor = (left @ matrix @ right) / angle
    return quotient.clamp(min=EPS)


def _unit(vector: Tensor) -> Tensor:
    norm: Tensor = vector.norm()
    return vector / norm.clamp(min=EPS)


class LONDON(DistillationLoss):
    """Weighs the squared relative difference of the `gain` of every stage, and `kd` beside it.

    A stage's gain goes from the stage before it to its own `out`.

    Args:
        student: gives the number of its stages.
        teacher: the same.
        weight: factor of the sum over stages.
        kd_weight: factor of `kd`.
        temperature: of `kd`.

    Source: Shang et al., Lipschitz Continuity Guided Knowledge Distillation, ICCV 2021. Its code
    is not public; this is our reading of the published description.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        kd_weight: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.pairs = stage_pairs(student, teacher)
        self.weight, self.kd_weight, self.temperature = weight, kd_weight, temperature

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Two terms, {"lipschitz": scalar, "kd": scalar}."""
        gaps = [
            gain(student.out[i - 1], student.out[i]) / gain(teacher.out[j - 1], teacher.out[j]) - 1
            for i, j in self.pairs
        ]
        return {
            "lipschitz": self.weight * torch.stack(gaps).square().sum(),
            "kd": self.kd_weight * kd(student.logits, teacher.logits, self.temperature),
        }
