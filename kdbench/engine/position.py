"""Where a training stands, as losses and schedules see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPosition:
    """A point of a training, counted in optimiser steps and in epochs, both from 0.

    Attributes:
        step: steps taken before this one, 0 at the first.
        steps: steps of the whole training, at least 1.
        epoch: epochs finished before this one, 0 during the first.
        epochs: epochs of the whole training, at least 1.
    """

    step: int
    steps: int
    epoch: int
    epochs: int

    @property
    def fraction(self) -> float:
        """Share of the training that is done, 0 at the first step and below 1 at the last.

        >>> TrainingPosition(step=30, steps=120, epoch=1, epochs=4).fraction
        0.25
        """
        return self.step / self.steps
