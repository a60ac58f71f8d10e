"""A student that learns from the labels alone."""

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


class Nothing(DistillationLoss):
    """No distillation: the baseline of every table."""

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork | None = None) -> None:
        super().__init__()

    def forward(
        self, student: Features, teacher: Features | None, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """No terms; the task's cross-entropy is all there is."""
        return {}
