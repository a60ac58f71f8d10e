"""KD of standardised logits: the student matches the teacher's order and ratios, not its scale."""

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.kd import kd
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

EPS = 1e-7


@full_precision
def standardised(logits: Tensor) -> Tensor:
    """(B, classes) logits less their mean, over their sample standard deviation, row by row.

    Source: Sun et al., CVPR 2024, algorithm 1.
    """
    mean, deviation = logits.mean(1, keepdim=True), logits.std(1, keepdim=True)
    return (logits - mean) / (deviation + EPS)


class StandardisedKD(DistillationLoss):
    """Weighs `kd` between standardised logits.

    Args:
        student: not looked at.
        teacher: not looked at.
        temperature: of `kd`, in units of the logits' standard deviation.
        weight: factor of the term.

    Source: Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        temperature: float,
        weight: float,
    ) -> None:
        super().__init__()
        self.temperature, self.weight = temperature, weight

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"kd": scalar}."""
        ours, theirs = standardised(student.logits), standardised(teacher.logits)
        return {"kd": self.weight * kd(ours, theirs, self.temperature)}
