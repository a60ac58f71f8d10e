"""Seconds of units of work: timed while there is time, else scaled by multiply-adds."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Timing(NamedTuple):
    """What timing a unit of work says.

    Attributes:
        seconds: of one unit.
        memory: largest memory meanwhile, in bytes.
    """

    seconds: float
    memory: int


@dataclass
class Unit:
    """A step, or a forward pass of an image, that many runs take many times.

    Attributes:
        name: what a reader knows it by.
        families: what it has in common with others, the closest first.
        macs: multiply-adds of one.
        count: how many of them all runs take together.
        seconds: of one; None where nothing says.
        timed: whether that was measured.
        memory: largest memory while it was timed, in bytes; None where it was not.
    """

    name: str
    families: Sequence[Hashable]
    macs: int
    count: int = 0
    seconds: float | None = None
    timed: bool = False
    memory: int | None = None

    @property
    def total(self) -> int:
        """Multiply-adds of all of them."""
        return self.macs * self.count


def order(units: Sequence[Unit]) -> list[Unit]:
    """What to time first: the largest of each closest family, then all others by size.

    So a short time covers every family, and what is scaled is what matters least.
    """
    by_size = sorted(units, key=lambda unit: -unit.total)
    first: dict[Hashable, Unit] = {}
    for unit in by_size:
        first.setdefault(unit.families[0], unit)
    leading = {id(unit) for unit in first.values()}
    return [*first.values(), *(unit for unit in by_size if id(unit) not in leading)]


def time_units(
    units: Sequence[Unit],
    measure: Callable[[Unit], Timing],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Time units in order until so many seconds are over; one is timed at least.

    Args:
        units: to be timed; see `order`.
        measure: times one.
        seconds: for all of them together.
        clock: gives the time, in seconds.
    """
    end = clock() + seconds
    for place, unit in enumerate(order(units)):
        if place and clock() >= end:
            return
        unit.seconds, unit.memory = measure(unit)
        unit.timed = True


def scale(units: Sequence[Unit]) -> None:
    """Give units that were not timed the throughput of the closest family that was.

    The throughput of several timed units is that of all their work, each as often as it is done.
    """
    timed = [unit for unit in units if unit.timed]
    for unit in units:
        if not unit.timed:
            unit.seconds = _scaled(unit, timed)


def _scaled(unit: Unit, timed: Sequence[Unit]) -> float | None:
    for family in unit.families:
        alike = [one for one in timed if family in one.families]
        macs = sum(one.macs * max(one.count, 1) for one in alike)
        seconds = sum((one.seconds or 0.0) * max(one.count, 1) for one in alike)
        if macs and seconds:
            return seconds * unit.macs / macs
    return None


def declare(units: Sequence[Unit], tflops: float) -> None:
    """Give all units a declared throughput, in 1e12 operations per second.

    A multiply-add is two operations, as manufacturers count.
    """
    for unit in units:
        unit.seconds = 2 * unit.macs / (tflops * 1e12)
