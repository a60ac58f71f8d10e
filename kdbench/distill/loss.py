"""What every distillation loss promises."""

from typing import Protocol

from torch import Tensor

from kdbench.data.batch import Batch
from kdbench.engine.moment import Moment
from kdbench.models.stages import Features


class DistillationLoss(Protocol):
    """A loss between the features of a student and of its teacher.

    An `nn.Module`, constructed as `cls(student, teacher, **parameters)` from the two networks, with
    `scheme=...` beside them where the declaration names a search. It reads the shapes of the
    networks' stages and keeps no reference to either network, so that its parameters are those of
    its own connectors: trained with the student, thrown away with the loss.
    """

    def __call__(
        self, student: Features, teacher: Features, batch: Batch, moment: Moment
    ) -> dict[str, Tensor]:
        """Compare two networks that saw the same batch.

        Args:
            student: features with a graph.
            teacher: features without a graph.
            batch: the images (B, C, H, W), their labels (B,) and their positions (B,).
            moment: where the training stands.

        Returns:
            Named scalars, each already weighted. The cross-entropy of the task is not among them.
        """
        ...
