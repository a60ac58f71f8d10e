"""Where a training stands, as losses and schedules see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingPosition:
    """A point of a training, counted in optimiser steps and in epochs, both from 0.

    A step that was recorded on a GPU is played again for other positions (`kdbench.engine.replay`).
    It knows which by what the step read here. Whatever is read as it stands, as `step` is in most
    steps, holds the recording to positions where it is the same. `read` holds it to the value of a
    function of the position, and `feed` to nothing.

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

    def read(self, of: "Callable[[TrainingPosition], T]") -> T:
        """A plain value that few steps change: a learning rate, a factor, a choice.

        Args:
            of: gives it, a pure function of a position.
        """
        return of(self)

    def feed(self, of: "Callable[[TrainingPosition], Tensor]", device: torch.device) -> Tensor:
        """A tensor that every step may change; the step does not wait for the device.

        Args:
            of: makes it on the CPU, of one shape and type, a pure function of a position.
            device: where it is wanted.
        """
        return sendable(of(self), device).to(device, non_blocking=True)

    def seen(self, by: "Callable[[TrainingPosition], TrainingPosition]") -> "TrainingPosition":
        """The position as a part of the training counts it.

        Args:
            by: the part's own count, a pure function of a position.
        """
        return by(self)


def sendable(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU that can be copied to a device without waiting for it: page-locked."""
    return tensor.pin_memory() if device.type == "cuda" else tensor
