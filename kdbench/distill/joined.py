"""Several methods at once: the sum of their losses."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.loss import DistillationLoss
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UserError
from kdbench.models.stages import Features


class JoinedLosses(DistillationLoss):
    """The terms of several losses, each as it weighs them; a term's name begins with its method's.

    Args:
        parts: the losses, by their methods' names.

    Raises:
        UserError: a loss that needs the training step for itself.
    """

    def __init__(self, parts: Sequence[tuple[str, DistillationLoss]]) -> None:
        super().__init__()
        for name, loss in parts:
            reason = _needs_step_alone(loss)
            if reason is not None:
                names = "+".join(name for name, _ in parts)
                raise UserError(f"method {names}: {name} {reason}; train it alone")
        self.parts = nn.ModuleDict({f"{i}_{name}": loss for i, (name, loss) in enumerate(parts)})
        self._named = list(parts)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """All terms of all parts."""
        terms: dict[str, Tensor] = {}
        for name, loss in self._named:
            for term, scalar in loss(student, teacher, batch, position).items():
                terms[f"{name}.{term}"] = scalar
        return terms

    def trained_with_student(self) -> nn.Module:
        """What each part has trained."""
        return nn.ModuleList(loss.trained_with_student() for _, loss in self._named)


def _needs_step_alone(loss: DistillationLoss) -> str | None:
    """Why a loss cannot share its steps with others, in words for a user; None if it can."""
    if loss.first is not None:
        return "has a first part of its own before the training"
    if loss.images_need_grad:
        return "looks at input gradients"
    if type(loss).combine is not DistillationLoss.combine:
        return "treats gradients apart"
    if type(loss).after_step is not DistillationLoss.after_step or loss.optimisers:
        return "learns after every step"
    return None
