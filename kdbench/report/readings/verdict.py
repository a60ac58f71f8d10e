"""Whether our runs say the same as a printed number. It can say "I don't know"."""

from collections.abc import Sequence
from enum import Enum

from kdbench.report.readings.statistics import estimate


class Verdict(Enum):
    """Ours beside a printed number; higher and lower are of the value, not of its merit."""

    REPRODUCED = "reproduced"
    HIGHER = "higher"
    LOWER = "lower"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"


def judge(printed: float, ours: Sequence[float], tolerance: float) -> Verdict:
    """Compare a paper's number with our runs, all in the metric's own unit.

    The 95 % interval of the gap decides: wholly within ±tolerance is a reproduction, wholly
    outside is a difference, and anything else asks for more seeds. The printed number is taken
    as exact. A single run has no interval and decides nothing.

    >>> judge(75.9, [75.8, 75.9, 76.0], tolerance=0.3)
    <Verdict.REPRODUCED: 'reproduced'>
    >>> judge(75.9, [74.9, 75.9, 76.9], tolerance=0.3)
    <Verdict.UNDECIDED: 'undecided'>
    >>> judge(75.9, [71.8, 71.9, 72.0], tolerance=0.3)
    <Verdict.LOWER: 'lower'>
    """
    our = estimate(ours)
    if our.half is None:
        return Verdict.UNDECIDED
    gap = our.mean - printed
    if abs(gap) + our.half <= tolerance:
        return Verdict.REPRODUCED
    if abs(gap) - our.half > tolerance:
        return Verdict.HIGHER if gap > 0 else Verdict.LOWER
    return Verdict.UNDECIDED
