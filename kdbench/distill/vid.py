"""Variational information distillation: a bound on the information shared by two maps."""

from math import expm1, log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import at_smaller_size, stage_pairs
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

EPS = 1e-5  # smallest variance


@full_precision
def vid(predicted: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher's map under a Gaussian a channel, without constants.

    Args:
        predicted: (B, C, H, W) means.
        teacher: (B, C, H, W).
        variance: (C,), above 0.

    Returns:
        Scalar, averaged over everything.

    Source: Ahn et al., CVPR 2019, eq. 6.
    """
    spread = variance[:, None, None]
    return ((predicted - teacher).square() / spread + spread.log()).mean() / 2


class Prediction(nn.Module):
    """A teacher's map predicted from a student's: three 1×1 convolutions and a variance a channel.

    Args:
        inputs: channels of the student's map.
        outputs: channels of the teacher's.
        variance: at the start.
    """

    def __init__(self, inputs: int, outputs: int, variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        spread = variance - EPS
        # Softplus the other way round: log(exp(x) - 1), in a form that a large x does not overflow.
        self.scale = nn.Parameter(torch.full((outputs,), spread + log(-expm1(-spread))))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """`vid` of two (B, C, H, W) maps, the larger averaged to the size of the smaller."""
        student, teacher = at_smaller_size(student, teacher)
        return vid(self.mean(student), teacher, F.softplus(self.scale) + EPS)


class VID(DistillationLoss):
    """Weighs the sum of `vid` over all stages but the stem.

    Args:
        student: gives the widths of its stages.
        teacher: the same.
        weight: factor of the sum.
        variance: of every channel at the start.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        weight: float,
        variance: float,
    ) -> None:
        super().__init__()
        self.pairs = stage_pairs(student, teacher)
        self.weight = weight
        self.predictions = nn.ModuleList(
            Prediction(student.stages[i].channels, teacher.stages[j].channels, variance)
            for i, j in self.pairs
        )

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term, {"vid": scalar}; it may fall below 0."""
        stages = [
            predict(student.out[i], teacher.out[j])
            for predict, (i, j) in zip(self.predictions, self.pairs, strict=True)
        ]
        return {"vid": self.weight * torch.stack(stages).sum()}
