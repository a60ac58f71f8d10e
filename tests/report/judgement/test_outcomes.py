"""Whether numbers bear a claim out: the pure functions."""

import pytest

from kdbench.exhibits.claims import Thresholds
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    beyond,
    error_rises,
    every_better,
    every_near,
)
from kdbench.report.readings.statistics import Correlation, welch

HOLDS, FAILS, UNTESTED = ClaimState


def test_the_difference_of_means_has_welchs_interval():
    """Worked by hand: variances 1/3 and 4/3, 2.941 degrees of freedom, t = 3.219."""
    gap, half = welch([1.0, 2.0, 3.0], [0.0, 2.0, 4.0])

    assert gap == 0.0
    assert half == pytest.approx(3.219 * (5 / 3) ** 0.5, abs=2e-3)


def test_single_runs_have_no_interval_and_equal_runs_neither():
    """Students that stay at chance are equal: they decide nothing."""
    assert welch([2.0], [1.0, 1.5]) == (0.75, None)
    assert welch([2.0, 2.0], [1.0, 1.0]) == (1.0, None)


def test_one_failure_among_many_must_stand_out_among_so_many():
    """Welch's interval at 95 % is 2.27 wide, that of one of 20 at 99.75 % 5.52 (t = 6.758)."""
    worse = Comparison("a over b", [7.0, 8.0, 9.0], [10.0, 11.0, 12.0])
    equal = Comparison("a over c", [7.0, 8.0, 9.0], [7.0, 8.0, 9.0])

    assert worse.lead()[1] == pytest.approx(2.267, abs=1e-3)
    assert worse.lead(tries=20)[1] == pytest.approx(6.758 * (2 / 3) ** 0.5, abs=2e-3)
    assert every_better([worse]).state is FAILS
    assert every_better([worse, *[equal] * 19]).state is UNTESTED
    assert every_near([worse], 0.5).state is FAILS
    assert every_near([worse, *[equal] * 19], 0.5).state is UNTESTED


@pytest.mark.parametrize(
    ("first", "second", "higher", "state"),
    [
        ([3.0, 3.1], [1.0, 1.1], True, HOLDS),
        ([3.0, 3.1], [1.0, 1.1], False, FAILS),
        ([1.0, 1.1], [3.0, 3.1], False, HOLDS),
        ([1.0, 3.0], [0.9, 2.9], True, UNTESTED),
        ([3.0], [1.0], True, UNTESTED),
        ([1.0, 1.0], [1.0, 1.0], True, UNTESTED),
    ],
)
def test_a_comparison_is_clear_beyond_the_seeds_spread(first, second, higher, state):
    """In the direction in which values are better."""
    assert Comparison("a over b", first, second, higher).state() is state


def test_what_is_unfair_decides_nothing():
    """And its reason is told once."""
    unfair = Comparison("a over b", [3.0, 3.1], [1.0, 1.1], unfair="no twin")

    found = every_better([unfair, unfair])

    assert found.state is UNTESTED and found.evidence.count("no twin") == 1


def test_the_smallest_lead_is_the_evidence():
    """With its interval, or the word that there is none."""
    clear = Comparison("a over b", [3.0, 3.1], [1.0, 1.1])
    close = Comparison("a over c", [3.0], [2.5])

    told = every_better([clear, close]).evidence

    assert "smallest lead: a over c, +0.50 (no spread known)" in told
    assert "1 of 2 comparisons are clearly so, 0 clearly not, 1 undecided" in told


def test_without_runs_there_is_no_outcome():
    """Of none, and of missing ones."""
    missing = Comparison("a over b", [], [1.0])

    assert every_better([missing]) is every_near([missing], 0.5) is every_better([]) is NO_RUN


@pytest.mark.parametrize(
    ("second", "state"),
    [
        ([1.0, 1.1], HOLDS),
        ([5.0, 5.1], FAILS),
        ([-3.0, -2.9], FAILS),
        ([1.5, 2.9], UNTESTED),
        ([1.0], UNTESTED),
    ],
)
def test_near_is_judged_by_the_whole_interval(second, state):
    """Within ±1, on both sides; one run alone has no interval."""
    found = every_near([Comparison("a over b", [1.0, 1.1], second)], 1.0)

    assert found.state is state


def test_near_wants_all_comparisons():
    """One missing leaves it open."""
    near = Comparison("a over b", [1.0, 1.1], [1.0, 1.1])

    found = every_near([near, Comparison("a over c", [], [])], 1.0)

    assert found.state is UNTESTED and "1 of 2 differences" in found.evidence


@pytest.mark.parametrize(
    ("value", "thresholds", "state"),
    [
        (0.8, Thresholds(0.8, 0.5), HOLDS),
        (0.5, Thresholds(0.8, 0.5), FAILS),
        (0.6, Thresholds(0.8, 0.5), UNTESTED),
        (0.1, Thresholds(0.1, 0.3), HOLDS),
        (0.3, Thresholds(0.1, 0.3), FAILS),
        (0.2, Thresholds(0.1, 0.3), UNTESTED),
    ],
)
def test_thresholds_work_in_either_direction(value, thresholds, state):
    """A value at a threshold counts as beyond it; both thresholds are printed."""
    found = beyond(value, thresholds, "it")

    assert found.state is state
    order = ("from", "up to") if thresholds.holds > thresholds.fails else ("up to", "from")
    assert (
        f"holds {order[0]} {thresholds.holds:g}, does not {order[1]} {thresholds.fails:g}"
        in found.evidence
    )


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Correlation(0.9, 0.01, 5), HOLDS),
        (Correlation(-0.9, 0.01, 5), FAILS),
        (Correlation(0.9, 0.06, 5), UNTESTED),
        (None, UNTESTED),
    ],
)
def test_a_correlation_must_be_more_than_chance(found, state):
    """At the probability that the claim sets."""
    assert error_rises(found, 0.05).state is state
