"""Correlation congruence, as the public benchmark has it: differences of neighbours in a batch."""

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def cc(student: Tensor, teacher: Tensor) -> Tensor:
    """Inner products of the absolute errors of neighbouring images of a batch.

    Args:
        student: (B, D) embedded vectors.
        teacher: (B, D), with a graph of its embedding.

    Returns:
        Scalar, averaged over the B - 1 pairs of neighbours; at least 0, and 0 for B = 1.

    Source: Peng et al., ICCV 2019, in the form that RepDistiller was given by its authors; it
    differs from the paper's eq. 6 (a difference of correlation matrices).
    """
    gaps = (student - teacher).abs()
    if len(gaps) == 1:
        return 0 * gaps.sum()
    return (gaps[:-1] * gaps[1:]).sum(1).mean()


class CC(DistillationLoss):
    """Weighs `cc` of linear embeddings of the pooled vectors.

    Args:
        student: gives the length of its pooled vector.
        teacher: the same; its embedding is trained as well, as in the public code.
        weight: factor of the term.
        dimension: D of the embeddings.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        dimension: int,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.embed_student = nn.Linear(student.pooled_width, dimension)
        self.embed_teacher = nn.Linear(teacher.pooled_width, dimension)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"cc": scalar}."""
        ours, theirs = self.embed_student(student.pooled), self.embed_teacher(teacher.pooled)
        return {"cc": self.weight * cc(ours, theirs)}
