"""Mean, spread and 95 % interval of a handful of runs; how two handfuls go together."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import fmean, stdev

FEWEST = 3  # points of a correlation: through two a line always goes


@dataclass(frozen=True)
class Estimate:
    """What n runs of one cell say, in the metric's own unit.

    Attributes:
        mean: of the runs.
        std: sample standard deviation (n - 1 in the denominator); None for a single run.
        half: half the width of the mean's 95 % Student-t interval; None for a single run.
    """

    n: int
    mean: float
    std: float | None
    half: float | None


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation of so many points, and the probability of one as large by chance."""

    r: float
    p: float
    n: int


def estimate(values: Sequence[float]) -> Estimate:
    """Summarise at least one value.

    >>> one = estimate([70.0, 71.0, 72.0])
    >>> one.mean, one.std, round(one.half, 3)
    (71.0, 1.0, 2.484)
    >>> estimate([70.0])
    Estimate(n=1, mean=70.0, std=None, half=None)
    """
    return summarised(len(values), fmean(values), stdev(values) if len(values) > 1 else None)


def summarised(n: int, mean: float, std: float | None) -> Estimate:
    """The estimate of n runs that are known by their mean and standard deviation alone."""
    half = None if std is None or n < 2 else student_t95(n - 1) * std / sqrt(n)
    return Estimate(n, mean, None if half is None else std, half)


@cache
def student_t95(degrees: float, tries: int = 1) -> float:
    """97.5 % quantile of Student's t: a two-sided 95 % interval reaches so many errors far.

    Args:
        degrees: of freedom.
        tries: how many intervals shall all hold at 95 %: each is made wider (Bonferroni).

    >>> round(student_t95(4), 3), round(student_t95(4, tries=5), 3)
    (2.776, 4.604)
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - 0.025 / tries))


def correlation(xs: Sequence[float], ys: Sequence[float]) -> Correlation | None:
    """Pearson's; None for fewer than three points, and where either does not vary.

    >>> four = correlation([0.0, 1.0, 2.0, 3.0], [5.0, 5.5, 6.5, 6.0])
    >>> round(four.r, 9), round(four.p, 9), four.n
    (0.8, 0.2, 4)
    >>> correlation([0.0, 1.0, 2.0], [5.0, 5.0, 5.0]) is None
    True
    """
    n = len(xs)
    if n < FEWEST or min(xs) == max(xs) or min(ys) == max(ys):
        return None
    from scipy.special import stdtr

    r = max(-1.0, min(1.0, statistics.correlation(xs, ys)))
    t = abs(r) * sqrt((n - 2) / (1 - r * r)) if abs(r) < 1 else float("inf")
    return Correlation(r, float(2 * stdtr(n - 2, -t)), n)


def least_correlation(n: int, p: float) -> float:
    """The smallest correlation of n points that is as large by chance with probability p at most.

    >>> round(least_correlation(5, p=0.05), 3)
    0.878
    """
    from scipy.special import stdtrit

    t = float(stdtrit(n - 2, 1 - p / 2))
    return t / sqrt(n - 2 + t * t)


def welch(
    first: Sequence[float], second: Sequence[float], tries: int = 1
) -> tuple[float, float | None]:
    """The difference of two means, first minus second, and half its 95 % interval (Welch's).

    See `contrast`.

    >>> gap, half = welch([71.0, 72.0, 73.0], [70.0, 71.0, 72.0])
    >>> gap, round(half, 3)
    (1.0, 2.267)
    """
    return contrast([(1.0, estimate(first)), (-1.0, estimate(second))], tries)


def contrast(parts: Sequence[tuple[float, Estimate]], tries: int = 1) -> tuple[float, float | None]:
    """A sum of means, each times its factor, and half the sum's 95 % interval.

    Every cell has a spread of its own, so that the interval is Welch's for two of them. Of cells
    of one size and one factor the standard error is that of the pooled deviation; the degrees of
    freedom are fewer than the pooled ones where the spreads differ, which docs/statistics.md shows
    to be needed. The half is None where a cell has a single run, or none varies: such cells decide
    nothing.

    Args:
        parts: factor and estimate of each cell; no run may be in two cells.
        tries: as of `student_t95`.

    Source: Welch, Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    total = sum(factor * cell.mean for factor, cell in parts)
    known = _error(parts)
    return total, known and student_t95(known[1], tries) * known[0]


def one_sided(parts: Sequence[tuple[float, Estimate]]) -> float:
    """The chance of a sum of means as large as this one where the true sum is 0 or less.

    1 where the cells decide nothing, see `contrast`.

    >>> one, other = estimate([71.0, 72.0, 73.0]), estimate([70.0, 71.0, 72.0])
    >>> round(one_sided([(1.0, one), (-1.0, other)]), 3)
    0.144
    """
    known = _error(parts)
    if known is None:
        return 1.0
    from scipy.special import stdtr

    return float(stdtr(known[1], -sum(factor * cell.mean for factor, cell in parts) / known[0]))


def _error(parts: Sequence[tuple[float, Estimate]]) -> tuple[float, float] | None:
    """Standard error of a sum of means and its degrees of freedom; None where it has none."""
    spreads = [(factor**2 * cell.std**2 / cell.n, cell) for factor, cell in parts if cell.std]
    variance = sum(part for part, _ in spreads)
    if not variance or any(cell.std is None for _, cell in parts):
        return None
    degrees = variance**2 / sum(part**2 / (cell.n - 1) for part, cell in spreads)
    return sqrt(variance), degrees
