"""Whether our runs say the same as a printed number. It can say "I don't know"."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kdbench.exhibits.published import Published
from kdbench.report.readings.statistics import contrast, estimate, summarised


class Verdict(Enum):
    """Ours beside a printed number; higher and lower are of the value, not of its merit."""

    REPRODUCED = "reproduced"
    HIGHER = "higher"
    LOWER = "lower"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Gap:
    """Ours minus the printed number, in the metric's own unit.

    Attributes:
        half: half the 95 % interval of the gap; None where nothing says how wide it is.
        tolerance: largest gap that still counts as the same.
    """

    value: float
    half: float | None
    tolerance: float

    @property
    def differs_from(self) -> float | None:
        """The smallest gap that these runs would call a difference; None: none at all."""
        return None if self.half is None else self.tolerance + self.half

    @property
    def too_wide(self) -> bool:
        """Whether no gap, not even 0, would have been called a reproduction."""
        return self.half is None or self.half > self.tolerance

    @property
    def verdict(self) -> Verdict:
        """What the interval says: wholly within ±tolerance the same, wholly outside another."""
        if self.half is None:
            return Verdict.UNDECIDED
        if abs(self.value) + self.half <= self.tolerance:
            return Verdict.REPRODUCED
        if abs(self.value) - self.half > self.tolerance:
            return Verdict.HIGHER if self.value > 0 else Verdict.LOWER
        return Verdict.UNDECIDED


def compare(printed: Published, ours: Sequence[float], tolerance: float) -> Gap:
    """Hold our runs against a paper's number, all in the metric's own unit.

    Where the paper prints a spread and of how many runs, the interval is Welch's. Otherwise the
    printed number is taken as exact and the interval is that of our mean. A single run has no
    interval, and neither have runs that do not vary: they decide nothing.

    >>> compare(Published(75.9, None, "paper"), [75.8, 75.9, 76.0], tolerance=0.3).verdict
    <Verdict.REPRODUCED: 'reproduced'>
    >>> compare(Published(75.9, 0.4, "paper", runs=3), [75.8, 75.9, 76.0], tolerance=0.3).verdict
    <Verdict.UNDECIDED: 'undecided'>
    >>> compare(Published(75.9, None, "paper"), [71.8, 71.9, 72.0], tolerance=0.3).verdict
    <Verdict.LOWER: 'lower'>
    """
    our = estimate(ours)
    if printed.spread is not None and printed.runs > 1:
        theirs = summarised(printed.runs, printed.value, printed.spread)
        return Gap(*contrast([(1.0, our), (-1.0, theirs)]), tolerance)
    return Gap(our.mean - printed.value, our.half or None, tolerance)
