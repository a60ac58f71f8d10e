"""FitNets: a regressor predicts one of the teacher's maps from one of the student's."""

import torch.nn.functional as F
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.regressors import Regressor
from kdbench.engine.position import TrainingPosition
from kdbench.errors import BadValue
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def hint(predicted: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of two maps of one shape, (B, C, H, W).

    Source: Romero et al., ICLR 2015, eq. 3 (there a sum and a half).
    """
    return F.mse_loss(predicted, teacher)


class FitNet(DistillationLoss):
    """Weighs `hint` of one stage, trained together with everything else.

    Args:
        student: gives the shape of its stage.
        teacher: the same.
        weight: factor of the term.
        stage: which one, counted from 0, the stem; a network that has fewer takes its last.

    Raises:
        BadValue: a stage below 0.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        stage: int,
    ) -> None:
        super().__init__()
        if stage < 0:
            raise BadValue("fitnet.stage", stage, "a stage, counted from 0 (the stem)")
        self.weight = weight
        self.ours = min(stage, len(student.stages) - 1)
        self.theirs = min(stage, len(teacher.stages) - 1)
        self.regressor = Regressor(student.stages[self.ours], teacher.stages[self.theirs])

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"hint": scalar}."""
        predicted, target = self.regressor(student.out[self.ours]), teacher.out[self.theirs]
        return {"hint": self.weight * hint(predicted, target)}
