"""What every distillation loss promises."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features


@dataclass(frozen=True)
class FirstStage:
    """A stage of training before the main one, in the same run.

    A loss that has one keeps it as its attribute `first` and gives its terms by `first_terms`,
    which is called as the loss itself is. The task's cross-entropy takes no part, the optimiser is
    the protocol's, begins anew with the main stage, and its rate is constant.

    Attributes:
        epochs: length in the published training.
        of: length of the published main stage; others scale the first stage in proportion.
        lr: learning rate; 0 takes the protocol's first one.
        trains_trunk: whether the student's stages are trained; if not, the student does not look
            at all, and `first_terms` gets None for its features.
    """

    epochs: int
    of: int
    lr: float
    trains_trunk: bool

    def scaled(self, epochs: int) -> int:
        """Epochs before a main stage of so many; at least 1.

        >>> FirstStage(30, 240, 0.0, True).scaled(240), FirstStage(30, 240, 0.0, True).scaled(2)
        (30, 1)
        """
        return max(1, round(self.epochs * epochs / self.of))


class DistillationLoss(Protocol):
    """A loss between the features of a student and of its teacher.

    An `nn.Module`, constructed as `cls(student, teacher, **parameters)` from the two networks, with
    `scheme=...` beside them where the declaration names a search. It reads the shapes of the
    networks' stages and keeps no reference to either network, so that its parameters are those of
    its own connectors: trained with the student, thrown away with the loss.
    """

    def __call__(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Compare two networks that saw the same batch.

        Args:
            student: features with a graph.
            teacher: features without a graph.
            batch: the images (B, C, H, W), their labels (B,) and their positions (B,).
            position: where the training stands.

        Returns:
            Named scalars, each already weighted. The cross-entropy of the task is not among them.
        """
        ...
