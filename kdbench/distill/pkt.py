"""Probabilistic knowledge transfer: each image's probability of being another's neighbour."""

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

EPS = 1e-7


@full_precision
def pkt(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the student's neighbour probabilities from the teacher's.

    Args:
        student: (B, D_s) vectors.
        teacher: (B, D_t).

    Returns:
        Scalar in nats: the mean over all B squared entries, as the authors' code has it (a sum
        over neighbours and a mean over images would be B times as large).

    Source: Passalis & Tefas, ECCV 2018, eq. 4 to 6, with the cosine kernel.
    """
    ours, theirs = neighbours(student), neighbours(teacher)
    return (theirs * ((theirs + EPS) / (ours + EPS)).log()).mean()


def neighbours(vectors: Tensor) -> Tensor:
    """(B, D) -> (B, B): cosines moved to 0..1, each row divided by its sum."""
    lengths = vectors.square().sum(1, keepdim=True).clamp(min=EPS**2).sqrt()
    unit = vectors / (lengths + EPS)
    closeness = (unit @ unit.T + 1) / 2
    return closeness / closeness.sum(1, keepdim=True)


class PKT(DistillationLoss):
    """Weighs `pkt` of the pooled vectors.

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
        """One term, {"pkt": scalar}."""
        return {"pkt": self.weight * pkt(student.pooled, teacher.pooled)}
