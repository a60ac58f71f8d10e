"""Contenders that are timed in turn, in one process, for a given time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import torch

LEAST, MOST = 3, 15  # rounds


@dataclass
class Contender:
    """Work to be timed.

    Attributes:
        work: does it once.
        repeats: so many times count as one measurement.
        prepare: called before every measurement, outside of it; sets what the process computes by.
        seconds: of one piece of work, per round.
    """

    work: Callable[[], Any]
    repeats: int = 1
    prepare: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds of one piece of work."""
        return median(self.seconds)

    def measure(self) -> None:
        """Take one measurement."""
        self.prepare()
        _wait()
        begun = perf_counter()
        for _ in range(self.repeats):
            self.work()
        _wait()
        self.seconds.append((perf_counter() - begun) / self.repeats)


def take_turns(
    contenders: Mapping[str, Contender], seconds: float, *, least: int = LEAST, most: int = MOST
) -> int:
    """Time all contenders once per round, forwards, then backwards; returns the rounds.

    Args:
        contenders: by name; each works once beforehand, which is not timed.
        seconds: no round begins after so long, the work beforehand included.
        least: rounds that are taken whatever the time.
        most: rounds.
    """
    begun = perf_counter()
    for contender in contenders.values():
        contender.prepare()
        contender.work()
    rounds = 0
    while rounds < least or (rounds < most and perf_counter() - begun < seconds):
        for contender in list(contenders.values())[:: 1 if rounds % 2 == 0 else -1]:
            contender.measure()
        rounds += 1
    return rounds


def _wait() -> None:
    """Until the device has done what was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
