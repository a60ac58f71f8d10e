"""DIST: relations of probabilities, within an image and within a class, matched by correlation."""

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

EPS = 1e-8


@full_precision
def inter_class(student: Tensor, teacher: Tensor) -> Tensor:
    """1 minus Pearson's correlation of an image's class probabilities, averaged over images.

    Args:
        student: (B, classes) probabilities.
        teacher: the same.

    Source: Huang et al., NeurIPS 2022, eq. 8.
    """
    return 1 - correlation(student, teacher).mean()


@full_precision
def intra_class(student: Tensor, teacher: Tensor) -> Tensor:
    """1 minus Pearson's correlation of a class's probabilities over images, averaged over classes.

    Args:
        student: (B, classes) probabilities.
        teacher: the same.

    Source: Huang et al., NeurIPS 2022, eq. 9.
    """
    return 1 - correlation(student.T, teacher.T).mean()


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of the rows of two (R, C) matrices, (R,); 0 for a constant row."""
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    norms: Tensor = one.norm(dim=1) * other.norm(dim=1) + EPS
    return (one * other).sum(1) / norms


class DIST(DistillationLoss):
    """Weighs `inter_class` and `intra_class` of the softened probabilities.

    Args:
        student: not looked at.
        teacher: not looked at.
        inter: factor of `inter_class`.
        intra: factor of `intra_class`.
        temperature: what the logits are divided by; its square multiplies both terms.

    Source: Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        inter: float,
        intra: float,
        temperature: float,
    ) -> None:
        super().__init__()
        self.inter, self.intra, self.temperature = inter, intra, temperature

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Two terms, {"inter": scalar, "intra": scalar}."""
        ours, theirs = (
            (logits.float() / self.temperature).softmax(1)
            for logits in (student.logits, teacher.logits)
        )
        scale = self.temperature**2
        return {
            "inter": scale * self.inter * inter_class(ours, theirs),
            "intra": scale * self.intra * intra_class(ours, theirs),
        }
