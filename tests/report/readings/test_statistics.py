"""Mean, spread and interval of a few runs."""

from math import isclose, sqrt

from scipy.stats import t

from kdbench.report.readings.statistics import estimate, student_t95


def test_the_spread_divides_by_one_less_than_the_number_of_runs():
    """Of 1, 2 and 6 the mean is 3 and the sample variance (4 + 1 + 9) / 2."""
    summary = estimate([1.0, 2.0, 6.0])

    assert (summary.n, summary.mean) == (3, 3.0)
    assert summary.std is not None and isclose(summary.std, sqrt(7))


def test_the_interval_is_that_of_scipy():
    """The half width is the one that scipy's own interval of the mean has."""
    values = [75.1, 75.4, 74.9, 75.8, 75.2]
    summary = estimate(values)
    low, high = t.interval(0.95, 4, loc=summary.mean, scale=summary.std / sqrt(5))

    assert isclose(summary.half, (high - low) / 2)
    assert isclose(student_t95(4), 2.7764451052, rel_tol=1e-9)


def test_a_single_run_has_no_spread():
    """One value gives neither a standard deviation nor an interval."""
    assert (estimate([3.0]).std, estimate([3.0]).half) == (None, None)
