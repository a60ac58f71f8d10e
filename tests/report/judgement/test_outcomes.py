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
    """It is 3.219 times the root of 1/3 + 4/3, by hand, at 2.941 degrees of freedom."""
    gap, half = welch([1.0, 2.0, 3.0], [0.0, 2.0, 4.0])

    assert gap == 0.0
    assert half == pytest.approx(3.219 * (5 / 3) ** 0.5, abs=2e-3)


def test_neither_single_nor_equal_runs_have_an_interval():
    """A side with one value, or two sides that do not vary, have a difference without interval."""
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
    """A lead beyond its interval decides, in the direction in which values are better."""
    assert Comparison("a over b", first, second, higher).state() is state


def test_an_unfair_comparison_decides_nothing():
    """The claim stays open, and the evidence names the shared reason once."""
    unfair = Comparison("a over b", [3.0, 3.1], [1.0, 1.1], unfair="no twin")

    judgement = every_better([unfair, unfair])

    assert judgement.state is UNTESTED and judgement.evidence.count("no twin") == 1


def test_the_smallest_lead_is_the_evidence():
    """The evidence names it with its spread, or says that it has none."""
    clear = Comparison("a over b", [3.0, 3.1], [1.0, 1.1])
    close = Comparison("a over c", [3.0], [2.5])

    evidence = every_better([clear, close]).evidence

    assert "smallest lead: a over c, +0.50 (no spread known)" in evidence
    assert "1 of 2 comparisons are clearly so, 0 clearly not, 1 undecided" in evidence


def test_without_runs_there_is_no_outcome():
    """No comparison, or one with a side missing, is no evidence."""
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
    """Inside ±1 it holds, outside on either side it fails; otherwise it is open."""
    judgement = every_near([Comparison("a over b", [1.0, 1.1], second)], 1.0)

    assert judgement.state is state


def test_near_needs_all_comparisons():
    """One that is missing leaves the claim open."""
    near = Comparison("a over b", [1.0, 1.1], [1.0, 1.1])

    judgement = every_near([near, Comparison("a over c", [], [])], 1.0)

    assert judgement.state is UNTESTED and "1 of 2 differences" in judgement.evidence


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
    judgement = beyond(value, thresholds, "it")

    assert judgement.state is state
    order = ("from", "up to") if thresholds.holds > thresholds.fails else ("up to", "from")
    assert (
        f"holds {order[0]} {thresholds.holds:g}, does not {order[1]} {thresholds.fails:g}"
        in judgement.evidence
    )


@pytest.mark.parametrize(
    ("correlation", "state"),
    [
        (Correlation(0.9, 0.01, 5), HOLDS),
        (Correlation(-0.9, 0.01, 5), FAILS),
        (Correlation(0.9, 0.06, 5), UNTESTED),
        (None, UNTESTED),
    ],
)
def test_a_correlation_must_be_more_than_chance(correlation, state):
    """Its sign decides where p is at most the claim's; otherwise nothing does."""
    assert error_rises(correlation, 0.05).state is state
