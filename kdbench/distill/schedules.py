"""Lengths that follow the training's: a part before the main one, a weight that grows.

Published lengths are epochs of a published training; a shorter training shortens them in
proportion, so that a short scale still distils.
"""

from dataclasses import dataclass

from kdbench.engine.position import TrainingPosition


@dataclass(frozen=True)
class FirstPart:
    """A part of the training before the main one, in the same run.

    The task's loss is left out of it, its optimiser is the protocol's with a constant rate, and
    the main part starts with an optimiser of its own.

    Attributes:
        epochs: length in the published training.
        of: length of the published main part; others scale the first part in proportion.
        lr: learning rate; 0 takes the protocol's initial one.
        trains_trunk: whether the student's stages are trained. If not, the student is not run at
            all, and `first_terms` gets None for its features.
    """

    epochs: int
    of: int
    lr: float
    trains_trunk: bool

    def scaled(self, epochs: int) -> int:
        """Epochs before a main part of so many; at least 1.

        >>> FirstPart(30, 240, 0.0, True).scaled(240), FirstPart(30, 240, 0.0, True).scaled(2)
        (30, 1)
        """
        return max(1, round(self.epochs * epochs / self.of))


def warmup(position: TrainingPosition, epochs: int, of: int, *, first: int) -> float:
    """Share of a full weight that grows from epoch to epoch: a staircase that ends at 1.

    Args:
        position: where the training stands.
        epochs: length of the published warm-up; 0 for none.
        of: length of the published training; others scale the warm-up in proportion.
        first: how many steps of the staircase the first epoch stands on: 0 where the authors'
            code counts epochs from 0, 1 where it counts from 1.

    >>> warmup(TrainingPosition(500, 24000, epoch=5, epochs=240), epochs=20, of=240, first=0)
    0.25
    """
    if epochs == 0:
        return 1.0
    return min(1.0, (position.epoch + first) * of / (epochs * position.epochs))
