"""Mean, spread and interval of a few runs."""

from math import isclose, sqrt

import pytest
from scipy.stats import pearsonr, t, ttest_ind

from kdbench.report.readings.statistics import (
    contrast,
    correlation,
    estimate,
    least_correlation,
    student_t95,
    summarised,
    welch,
)


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


CELLS = ([75.1, 75.4, 74.9, 75.8, 75.2], [74.1, 76.0, 75.0], [75.0, 75.3, 75.1, 75.2])


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (2, 0)])
def test_the_interval_of_a_difference_is_that_of_scipy(first, second):
    """Welch's, whichever sizes and spreads the two have."""
    gap, half = welch(CELLS[first], CELLS[second])
    interval = ttest_ind(CELLS[first], CELLS[second], equal_var=False).confidence_interval()

    assert half is not None
    assert isclose(gap - half, interval.low) and isclose(gap + half, interval.high)


def test_a_printed_spread_serves_as_well_as_the_runs():
    """The estimate of mean, deviation and number is that of the runs."""
    of_runs = estimate(CELLS[0])

    assert summarised(5, of_runs.mean, of_runs.std) == of_runs
    assert (summarised(1, 3.0, 0.5).std, summarised(1, 3.0, 0.5).half) == (None, None)


def test_the_error_of_a_mean_of_columns_is_that_of_the_pooled_deviation():
    """Six columns of equal spread: s sqrt(2 / 5 / 6), with the 48 degrees of 12 cells of 5."""
    cell = [-0.2, -0.1, 0.0, 0.1, 0.2]
    parts = [(sign / 6, estimate([sign + x for x in cell])) for sign in (1, -1) for _ in range(6)]

    lead, half = contrast(parts)

    assert isclose(lead, 2.0) and half is not None
    assert isclose(half, student_t95(48) * sqrt(0.025) * sqrt(2 / 5 / 6))


def test_a_wide_column_leaves_fewer_degrees_of_freedom():
    """One cell that spreads 30 times as much as the others has all but its own 4 degrees."""
    cell = [-0.2, -0.1, 0.0, 0.1, 0.2]
    parts = [(1 / 6, estimate(cell))] * 5 + [(1 / 6, estimate([30 * x for x in cell]))]

    half = contrast(parts)[1]

    assert half is not None
    assert isclose(half, student_t95(4) * sqrt(0.025 / 5 * 905) / 6, rel_tol=5e-3)


def test_cells_without_a_spread_leave_a_sum_without_an_interval():
    """A single run anywhere, or no variation at all; one cell that does not vary is no harm."""
    varied, still, single = estimate([1.0, 2.0]), estimate([1.0, 1.0]), estimate([1.0])

    assert contrast([(1.0, varied), (1.0, single)]) == (2.5, None)
    assert contrast([(1.0, still), (-1.0, still)]) == (0.0, None)
    assert contrast([(1.0, varied), (-1.0, still)])[1] is not None


@pytest.mark.parametrize("ys", [[5.0, 5.3, 5.1, 6.0, 5.9], [6.0, 5.0, 4.9, 5.2, 4.0]])
def test_the_correlation_is_that_of_scipy(ys):
    """Coefficient and probability by chance."""
    xs = [0.0, 0.25, 0.5, 1.0, 2.0]
    ours, theirs = correlation(xs, ys), pearsonr(xs, ys)

    assert ours is not None and ours.n == 5
    assert isclose(ours.r, theirs.statistic) and isclose(ours.p, theirs.pvalue, rel_tol=1e-9)


def test_points_on_a_line_correlate_wholly():
    """By chance with probability 0."""
    line = correlation([0.0, 1.0, 2.0], [5.0, 5.5, 6.0])

    assert line is not None and isclose(line.r, 1.0) and line.p < 1e-7


def test_the_smallest_correlation_that_counts_has_the_probability_that_is_asked_for():
    """Of five points 0.878, as in every table."""
    r = least_correlation(5, p=0.05)
    t_value = r * sqrt(3 / (1 - r * r))

    assert isclose(r, 0.8783, abs_tol=1e-4) and isclose(2 * t.sf(t_value, 3), 0.05)
