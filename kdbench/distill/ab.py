"""Activation boundaries: which neurons of the teacher fire, learnt before the task."""

import torch
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss, read_features
from kdbench.distill.matching import stage_pairs
from kdbench.distill.regressors import Regressor
from kdbench.distill.schedules import FirstPart
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork

SCALE = 3 / 1000  # of the authors' code


@full_precision
def ab(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Squared distance of the student's neurons to the teacher's side of 0, and a margin beyond.

    A neuron pays where the teacher's fires and its own is at most the margin, and where the
    teacher's does not and its own is above minus the margin.

    Args:
        student: (B, C, H, W), before the ReLU, after its connector.
        teacher: the same shape, before its ReLU.
        margin: at least 0.

    Returns:
        Scalar: summed over channels and places, averaged over the batch.

    Source: Heo et al., AAAI 2019, eq. 3.
    """
    fires = teacher > 0
    short = (student - margin).square() * (fires & (student <= margin))
    long = (student + margin).square() * (~fires & (student > -margin))
    return (short + long).sum() / len(student)


class AB(DistillationLoss):
    """Its first part trains trunk and connectors on `ab`; after it, the task alone.

    Every stage but the stem counts, each half of the next deeper one. Connectors are the identity
    where shapes agree, else a resizing convolution with a norm.

    Args:
        student: gives the shapes of its stages.
        teacher: the same.
        margin: see `ab`.
        first_epochs: length of the first part, of a published training of `first_of` epochs; a
            shorter training shortens it in proportion.
        first_of: see `first_epochs`.
        first_lr: learning rate of the first part, constant; 0 takes the protocol's.

    Source: Heo et al., Knowledge Transfer via Distillation of Activation Boundaries, AAAI 2019, in
    the form of RepDistiller.
    """

    def __init__(
        self,
        student: StagedNetwork,
        teacher: StagedNetwork,
        *,
        margin: float,
        first_epochs: int,
        first_of: int,
        first_lr: float,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.pairs = stage_pairs(student, teacher)
        self.connectors = nn.ModuleList(_connector(student, i, teacher, j) for i, j in self.pairs)
        self.first = FirstPart(first_epochs, first_of, first_lr, trains_trunk=True)

    def first_terms(
        self, student: Features | None, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One term of the first part, {"ab": scalar}."""
        ours = read_features(student)
        losses = [
            ab(connector(ours.pre[i]), teacher.pre[j], self.margin)
            for (i, j), connector in zip(self.pairs, self.connectors, strict=True)
        ]
        shares = [0.5 ** (len(losses) - 1 - k) for k in range(len(losses))]
        weighed = [share * loss for share, loss in zip(shares, losses, strict=True)]
        return {"ab": SCALE * torch.stack(weighed).sum()}

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """No terms: in the main part the labels alone teach."""
        return {}


def _connector(student: StagedNetwork, i: int, teacher: StagedNetwork, j: int) -> nn.Module:
    ours, theirs = student.stages[i], teacher.stages[j]
    same = (ours.channels, ours.size) == (theirs.channels, theirs.size)
    return nn.Identity() if same else Regressor(ours, theirs, rectify=False)
