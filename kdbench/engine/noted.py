"""What a step read of its position, so that a recording of it is played where it holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from kdbench.engine.position import TrainingPosition, sendable

T = TypeVar("T")
Reading = Callable[[TrainingPosition], T]


@dataclass
class Notes:
    """What one step read.

    Attributes:
        values: functions of the position, and what each gave.
        tensors: functions that make a tensor on the CPU, and the tensor of the device that a
            recorded step reads in its place.
    """

    values: list[tuple[Reading[Any], Any]] = field(default_factory=list)
    tensors: list[tuple[Reading[Tensor], Tensor]] = field(default_factory=list)

    def hold_at(self, position: TrainingPosition) -> bool:
        """Whether a step reads the same values there."""
        return all(of(position) == value for of, value in self.values)

    def refill(self, position: TrainingPosition) -> None:
        """Write what a step is fed there into the tensors that it reads."""
        for of, tensor in self.tensors:
            tensor.copy_(sendable(of(position), tensor.device), non_blocking=True)


class NotedPosition(TrainingPosition):
    """A position that notes what is read of it, or hands out what was noted before.

    Args:
        plain: the position of the whole training.
        notes: are written, unless there are `tensors`.
        tensors: what `feed` gives, in its order; by default tensors of this position's own.
        count: how the part of the training counts that sees it.
    """

    _plain: TrainingPosition
    _notes: Notes
    _tensors: Iterator[Tensor] | None
    _count: Reading[TrainingPosition]

    def __init__(
        self,
        plain: TrainingPosition,
        notes: Notes,
        tensors: Iterator[Tensor] | None = None,
        count: Reading[TrainingPosition] = lambda position: position,
    ) -> None:
        own = {"_plain": plain, "_notes": notes, "_tensors": tensors, "_count": count}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @property
    def step(self) -> int:
        """See `TrainingPosition`; noted."""
        return self.read(lambda at: at.step)

    @property
    def steps(self) -> int:
        """See `TrainingPosition`; noted."""
        return self.read(lambda at: at.steps)

    @property
    def epoch(self) -> int:
        """See `TrainingPosition`; noted."""
        return self.read(lambda at: at.epoch)

    @property
    def epochs(self) -> int:
        """See `TrainingPosition`; noted."""
        return self.read(lambda at: at.epochs)

    def read(self, of: Reading[T]) -> T:
        """See `TrainingPosition`; noted."""
        reading = self._of_the_whole(of)
        value = reading(self._plain)
        if self._tensors is None:
            self._notes.values.append((reading, value))
        return value

    def feed(self, of: Reading[Tensor], device: torch.device) -> Tensor:
        """See `TrainingPosition`; noted, or the tensor that was noted in this place.

        Raises:
            RuntimeError: more tensors are asked for than were noted.
        """
        if self._tensors is None:
            reading = self._of_the_whole(of)
            # A copy, also on the CPU: `of` may give a tensor that is somebody's.
            value = sendable(reading(self._plain), device)
            tensor = value.to(device, non_blocking=True, copy=True)
            self._notes.tensors.append((reading, tensor))
            return tensor
        handed = next(self._tensors, None)
        if handed is None:
            raise RuntimeError("it is fed other tensors than before")
        return handed

    def seen(self, by: Reading[TrainingPosition]) -> TrainingPosition:
        """See `TrainingPosition`; what is read of it is noted here."""
        return NotedPosition(self._plain, self._notes, self._tensors, self._of_the_whole(by))

    def _of_the_whole(self, of: Reading[T]) -> Reading[T]:
        """The same of the position of the whole training."""
        count = self._count
        return lambda position: of(count(position))
