"""Knowledge distillation: the student imitates the teacher's softened probabilities."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


def kd(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher's softened probabilities to the student's.

    Args:
        student: (B, classes) logits, with a graph.
        teacher: (B, classes) logits of the same images; no gradient flows into them.
        temperature: what the logits are divided by, above 0.

    Returns:
        Scalar in nats, float32 or wider: summed over the classes, averaged over the batch, times
        the temperature squared, which keeps the size of the gradient; 0 when the two agree.

    Source: Hinton et al., 2015, section 2; weights and reduction as in RepDistiller.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    ours = F.log_softmax(student.to(dtype) / temperature, dim=1)
    theirs = F.log_softmax(teacher.detach().to(dtype) / temperature, dim=1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return divergence * temperature**2


class KD(DistillationLoss):
    """Weighs `kd` between the logits of the two networks.

    Args:
        student: not looked at.
        teacher: not looked at.
        temperature: as in `kd`.
        weight: factor of the term; the cross-entropy's own factor is the assembler's.
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
        self.temperature = temperature
        self.weight = weight

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"kd": scalar}."""
        return {"kd": self.weight * kd(student.logits, teacher.logits, self.temperature)}
