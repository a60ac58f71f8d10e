"""Mean, spread and 95 % interval of a handful of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class Summary:
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


def summarise(values: Sequence[float]) -> Summary:
    """Summarise at least one value.

    >>> one = summarise([70.0, 71.0, 72.0])
    >>> one.mean, one.std, round(one.half, 3)
    (71.0, 1.0, 2.484)
    >>> summarise([70.0])
    Summary(n=1, mean=70.0, std=None, half=None)
    """
    n = len(values)
    if n == 1:
        return Summary(1, fmean(values), None, None)
    spread = stdev(values)
    return Summary(n, fmean(values), spread, student_t95(n - 1) * spread / sqrt(n))


def student_t95(degrees: int) -> float:
    """97.5 % quantile of Student's t: a two-sided 95 % interval reaches so many errors far.

    >>> round(student_t95(4), 3)
    2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
