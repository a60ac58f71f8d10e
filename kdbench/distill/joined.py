"""Several methods at once: the sum of their losses."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.errors import UserError
from kdbench.models.stages import Features

# What a loss may have beside its terms (see `kdbench.distill.loss`), and its words for a user.
ALONE = {
    "first": "has a stage of its own before the training",
    "combine": "treats gradients apart",
    "after_step": "learns after every step",
    "images_need_grad": "looks at input gradients",
}


class JoinedLosses(nn.Module):
    """The terms of several losses, each as it weighs them; a term's name begins with its method's.

    Args:
        parts: the losses, by their methods' names.

    Raises:
        UserError: a loss that needs the training step for itself.
    """

    def __init__(self, parts: Sequence[tuple[str, nn.Module]]) -> None:
        super().__init__()
        for name, loss in parts:
            for hook, why in ALONE.items():
                if getattr(loss, hook, False):
                    names = "+".join(name for name, _ in parts)
                    raise UserError(f"method {names}: {name} {why}; train it alone")
        self.parts = nn.ModuleDict({f"{i}_{name}": loss for i, (name, loss) in enumerate(parts)})
        self.names = [name for name, _ in parts]

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """All terms of all parts."""
        found: dict[str, Any] = {}
        for name, loss in zip(self.names, self.parts.values(), strict=True):
            for term, value in loss(student, teacher, batch, position).items():
                found[f"{name}.{term}"] = value
        return found
