"""Several teachers for one student: their features together, and the mean of their losses."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Self

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss, first_reason, needs_step_alone
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UserError
from kdbench.models.stages import Features


@dataclass
class FeaturesOfTeachers(Features):
    """The features of several teachers of one batch; itself the first's.

    Attributes:
        each: the features of every teacher, the first one's too.
    """

    each: Sequence[Features]

    @classmethod
    def of(cls, each: Sequence[Features]) -> Self:
        """Features of at least one teacher."""
        own = {field.name: getattr(each[0], field.name) for field in fields(Features)}
        return cls(**own, each=tuple(each))


def each_teacher(features: Features) -> Sequence[Features]:
    """The features of every teacher, one or several."""
    return features.each if isinstance(features, FeaturesOfTeachers) else (features,)


class PerTeacher(DistillationLoss):
    """The mean over the teachers of a method's loss on each; a term's name ends with its teacher's.

    So the terms of several teachers weigh as much together as those of one.

    Args:
        losses: one per teacher, in their order.
        name: the method's, for errors.

    Raises:
        UserError: a loss that needs the training step for itself.
    """

    def __init__(self, losses: Sequence[DistillationLoss], name: str) -> None:
        super().__init__()
        reason = needs_step_alone(losses[0])
        if reason is not None:
            raise UserError(f"method {name}: it {reason}; it takes one teacher")
        self._losses = list(losses)
        self.losses = nn.ModuleList(losses)
        self.uncaptured = first_reason(losses)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Every term of every loss, divided by the number of teachers.

        Args:
            student: as for any loss.
            teacher: `FeaturesOfTeachers`, as many as there are losses.
            batch: as for any loss.
            position: the same.
        """
        terms: dict[str, Tensor] = {}
        features = each_teacher(teacher)
        for place, (loss, theirs) in enumerate(zip(self._losses, features, strict=True), 1):
            for term, scalar in loss(student, theirs, batch, position).items():
                terms[f"{term}.teacher{place}"] = scalar / len(features)
        return terms

    def work(self, position: TrainingPosition) -> Hashable:
        """What each loss does."""
        return tuple(loss.work(position) for loss in self._losses)

    def bytes_held(self, images: int, batch: int) -> int:
        """Those of all losses."""
        return sum(loss.bytes_held(images, batch) for loss in self._losses)

    def trained_with_student(self) -> nn.Module:
        """What each loss has trained."""
        return nn.ModuleList(loss.trained_with_student() for loss in self._losses)
