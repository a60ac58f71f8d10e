"""ReviewKD as its code for ImageNet has it: no warm-up, the student's maps before the ReLU."""

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.reviewkd import fusions, reviewed_losses
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


class ReviewKDImageNet(DistillationLoss):
    """HCL between reviewed student stages and teacher stages, at full weight from the first step.

    Both networks give their maps before the last ReLU (`pre`); of transformers these are grids of
    tokens, to which the authors' blocks are applied as they are (our reading).

    Args:
        student: gives the widths of the student's stages.
        teacher: gives the widths of the teacher's stages.
        weight: factor of the summed HCL.
        width: most channels of the fused maps.

    Source: Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021, and its code for
    ImageNet.
    """

    def __init__(
        self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float, width: int
    ) -> None:
        super().__init__()
        self.weight = weight
        self.fusions = fusions(student, teacher, width)

    def losses(self, student: Features, teacher: Features) -> Tensor:
        """HCL of every level, (levels,), from stage 1 to the pooled vector; unweighted."""
        return reviewed_losses(self.fusions, student.pre, student, teacher)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"reviewkd": scalar}."""
        return {"reviewkd": self.weight * self.losses(student, teacher).sum()}
