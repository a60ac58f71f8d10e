"""Several methods at once: the sum of their losses."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss, first_reason, needs_step_alone
from kdbench.distill.several_teachers import FeaturesOfTeachers
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UserError
from kdbench.models.stages import Features


@dataclass
class FeaturesByMode(Features):
    """A teacher's features of one batch in several modes of its batch norms; itself the first's.

    Attributes:
        by_mode: the features in each mode, "eval" or "batch".
    """

    by_mode: Mapping[str, Features]

    @classmethod
    def of(cls, by_mode: Mapping[str, Features]) -> Self:
        """Features in at least one mode."""
        first = next(iter(by_mode.values()))
        own = {field.name: getattr(first, field.name) for field in fields(Features)}
        return cls(**own, by_mode=by_mode)


class Part(NamedTuple):
    """One of the losses that are added.

    Attributes:
        name: its method's.
        loss: the loss with its connectors.
        teacher_mode: how the teacher whose features it gets normalises, "eval" or "batch".
    """

    name: str
    loss: DistillationLoss
    teacher_mode: str


class JoinedLosses(DistillationLoss):
    """The terms of several losses, each as it weighs them; a term's name begins with its method's.

    The order in which the parts are given changes nothing: they are added in order of their names.

    Args:
        parts: the losses.

    Raises:
        UserError: a loss that needs the training step for itself, or a method twice.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self._parts = sorted(parts, key=lambda part: part.name)
        names = [part.name for part in self._parts]
        for part in self._parts:
            reason = needs_step_alone(part.loss)
            if reason is not None:
                raise UserError(f"method {'+'.join(names)}: {part.name} {reason}; train it alone")
        if len(set(names)) < len(names):
            raise UserError(f"method {'+'.join(names)}: found a method twice, expected each once")
        self.parts = nn.ModuleDict(
            {f"{i}_{part.name}": part.loss for i, part in enumerate(self._parts)}
        )
        self.uncaptured = first_reason(part.loss for part in self._parts)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """All terms of all parts; of `FeaturesByMode`, each part gets the teacher in its mode."""
        terms: dict[str, Tensor] = {}
        for part in self._parts:
            seen = _in_mode(teacher, part.teacher_mode)
            for term, scalar in part.loss(student, seen, batch, position).items():
                terms[f"{part.name}.{term}"] = scalar
        return terms

    def work(self, position: TrainingPosition) -> Hashable:
        """What each part does."""
        return tuple(part.loss.work(position) for part in self._parts)

    def bytes_held(self, images: int, batch: int) -> int:
        """Those of all parts."""
        return sum(part.loss.bytes_held(images, batch) for part in self._parts)

    def trained_with_student(self) -> nn.Module:
        """What each part has trained."""
        return nn.ModuleList(part.loss.trained_with_student() for part in self._parts)


def _in_mode(teacher: Features, mode: str) -> Features:
    """The features in a mode, where there are several; of several teachers, each one's."""
    if isinstance(teacher, FeaturesOfTeachers):
        return FeaturesOfTeachers.of([_in_mode(each, mode) for each in teacher.each])
    return teacher.by_mode[mode] if isinstance(teacher, FeaturesByMode) else teacher
