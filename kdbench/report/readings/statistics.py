"""Mean, spread and 95 % interval of a handful of runs; how two handfuls go together."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    n = len(values)
    if n == 1:
        return Estimate(1, fmean(values), None, None)
    spread = stdev(values)
    return Estimate(n, fmean(values), spread, student_t95(n - 1) * spread / sqrt(n))


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

    >>> round(correlation([0.0, 1.0, 2.0], [5.0, 5.5, 6.0]).r, 12)
    1.0
    >>> correlation([0.0, 1.0, 2.0], [5.0, 5.0, 5.0]) is None
    True
    """
    if len(xs) < FEWEST or min(xs) == max(xs) or min(ys) == max(ys):
        return None
    from scipy.stats import pearsonr

    found = pearsonr(xs, ys)
    return Correlation(float(found.statistic), float(found.pvalue), len(xs))


def welch(
    first: Sequence[float], second: Sequence[float], tries: int = 1
) -> tuple[float, float | None]:
    """The difference of two means, first minus second, and half its 95 % interval (Welch's).

    The half is None where either has a single value, or neither varies: such a pair decides
    nothing. For `tries` see `student_t95`.

    >>> gap, half = welch([71.0, 72.0, 73.0], [70.0, 71.0, 72.0])
    >>> gap, round(half, 3)
    (1.0, 2.267)
    """
    gap = fmean(first) - fmean(second)
    if len(first) < 2 or len(second) < 2:
        return gap, None
    parts = [(stdev(values) ** 2 / len(values), len(values) - 1) for values in (first, second)]
    variance = sum(part for part, _ in parts)
    if not variance:
        return gap, None
    degrees = variance**2 / sum(part**2 / n for part, n in parts)
    return gap, student_t95(degrees, tries) * sqrt(variance)
