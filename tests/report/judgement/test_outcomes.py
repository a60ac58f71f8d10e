"""Whether numbers bear a claim out: the pure functions."""

import pytest

from kdbench.exhibits.claims import Thresholds
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    beyond,
    error_rises,
    errors_apart,
    every_better,
    every_near,
    every_reached,
    fewer,
    lead_grows,
    some_better,
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


def test_the_smallest_lead_that_the_seeds_decide_is_told():
    """Half of an interval: 2.27 of three seeds of deviation 1, half of it of deviation 0.5."""
    wide = Comparison("a over b", [7.0, 8.0, 9.0], [7.0, 8.0, 9.0])
    narrow = Comparison("a over c", [7.5, 8.0, 8.5], [7.5, 8.0, 8.5])
    single = Comparison("a over d", [7.0], [8.0])

    assert "smallest lead that these seeds decide: 2.27" in every_better([wide]).evidence
    both = every_better([wide, narrow, single]).evidence
    assert "seeds decide: 1.13 to 2.27, by comparison (1 without a spread)" in both
    assert "these runs decide no lead, however large" in every_better([single]).evidence
    assert (
        "up to 0.73 to be within the margin, and those from 5.27 on"
        in every_near([wide], 3.0).evidence
    )
    assert (
        "can show no difference, not even 0, to be within the margin"
        in every_near([wide], 0.5).evidence
    )
    assert "so many points decide: 0.878" in error_rises(Correlation(0.9, 0.01, 5), 0.05).evidence


def test_a_lead_against_a_claim_stands_with_the_interval_that_it_must_exceed():
    """Of two tries t is 3.495 in place of 2.776, and the interval 2.85 in place of 2.27 wide."""
    worse = Comparison("a over b", [7.0, 8.0, 9.0], [9.5, 10.5, 11.5])
    better = Comparison("a over c", [9.5, 10.5, 11.5], [7.0, 8.0, 9.0])

    judgement = every_better([worse, better])

    assert judgement.state is UNTESTED and "a over b, -2.50 (±2.85)" in judgement.evidence
    assert "seeds decide: 2.27" in judgement.evidence


def test_the_printed_leads_stand_beside_what_can_be_decided():
    """Of those comparisons that have them."""
    values = [7.0, 8.0, 9.0]
    leads = [Comparison("a over b", values, values, printed=lead) for lead in (0.03, -0.1, None)]

    assert "; printed: -0.10 to +0.03 (2)" in every_better(leads).evidence
    assert "printed" not in every_better(leads[2:]).evidence


WIN = Comparison("a over b", [3.0, 3.1, 3.2], [1.0, 1.1, 1.2])
LOSS = Comparison("a over c", [1.0, 1.1, 1.2], [3.0, 3.1, 3.2])
DRAW = Comparison("a over d", [1.0, 1.1, 1.2], [1.0, 1.1, 1.2])
ABSENT = Comparison("a over e", [], [1.0, 1.1, 1.2])


@pytest.mark.parametrize(
    ("comparisons", "state"),
    [
        ([WIN, WIN, LOSS], HOLDS),
        ([WIN, LOSS, LOSS], FAILS),
        ([WIN, DRAW, LOSS], UNTESTED),
        ([WIN, ABSENT, LOSS], UNTESTED),
        ([WIN, WIN, ABSENT], HOLDS),
    ],
)
def test_several_are_enough_where_several_are_claimed(comparisons, state):
    """Two of three here; what is open may still come out either way."""
    judgement = some_better(comparisons, 2)

    assert judgement.state is state and "; 2 are claimed" in judgement.evidence


def test_a_success_among_many_must_stand_out_where_several_are_claimed():
    """A lead that counts alone may be the luckiest of twenty: 4 is beyond 2.27, not beyond 5.52."""
    better = Comparison("a over b", [11.0, 12.0, 13.0], [7.0, 8.0, 9.0])
    equal = Comparison("a over c", [7.0, 8.0, 9.0], [7.0, 8.0, 9.0])

    assert some_better([better], 1).state is HOLDS
    assert some_better([better, *[equal] * 19], 1).state is UNTESTED
    assert some_better([], 1) is some_better([ABSENT], 1) is NO_RUN


@pytest.mark.parametrize(
    ("second", "state"), [(2.0, HOLDS), (0.5, FAILS), (1.0, FAILS), (None, UNTESTED)]
)
def test_numbers_without_a_spread_are_just_smaller_or_not(second, state):
    """Parameters in every pair; equal is not fewer, and a missing network leaves it open."""
    known = [("a", 1e6, "b", 3e6), *([("a", 1e6, "c", second * 1e6)] if second else [])]

    assert fewer(known, planned=2).state is state
    assert fewer([], planned=2) is NO_RUN


@pytest.mark.parametrize(
    ("worst", "state"), [(8.0, HOLDS), (5.1, FAILS), (6.0, UNTESTED), (None, UNTESTED)]
)
def test_errors_are_apart_by_the_best_and_the_worst_of_every_group(worst, state):
    """By more than their interval, in points: from 1 on here, and up to 0.5 not."""
    near = {"a": [5.0, 5.05, 5.1], "b": [5.1, 5.15, 5.2]}
    last = {} if worst is None else [worst, worst + 0.05, worst + 0.1]
    wide = {"d": [1.0, 1.05, 1.1], "e": [5.0, 5.05, 5.1]}

    judgement = errors_apart([near | {"c": last}, wide], Thresholds(holds=1.0, fails=0.5))

    assert judgement.state is state
    if worst == 8.0:
        assert "+3.00" in judgement.evidence and "a to c" in judgement.evidence


def test_the_two_extremes_are_chosen_among_many_and_so_wider():
    """Of three runs there are three pairs: Bonferroni's interval of three tries."""
    values = {"a": [5.0, 5.5, 6.0], "b": [5.2, 5.7, 6.2], "c": [7.0, 7.5, 8.0]}
    _, half = welch(values["c"], values["a"], tries=3)

    judgement = errors_apart([values], Thresholds(holds=1.0, fails=0.5))

    assert f"+2.00 (±{half:.2f})" in judgement.evidence


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


@pytest.mark.parametrize(
    ("small", "state"),
    [
        ([18.0, 18.1, 18.2], HOLDS),  # leads by 4.0 here and by 2.0 there
        ([21.0, 21.1, 21.2], FAILS),  # leads by 1.0
        ([19.9, 20.1, 20.2], UNTESTED),
        ([18.0], UNTESTED),
    ],
)
def test_a_lead_grows_by_more_than_the_four_spreads(small, state):
    """The difference of two leads is a sum of four means, each with a spread of its own."""
    here = Comparison("a over b at 24", small, [22.0, 22.1, 22.2], higher=False)
    there = Comparison("a over b at 240", [18.0, 18.1, 18.2], [20.0, 20.1, 20.2], higher=False)

    judgement = lead_grows(here, there)

    assert judgement.state is state
    if state is HOLDS:  # all deviations are 0.1: half is t(8) = 2.306 times 0.1 times root of 4/3
        assert "growth +2.00 (±0.27)" in judgement.evidence


def test_a_lead_of_unfair_runs_does_not_grow():
    """Nothing that may not be compared decides, and the reason stands there."""
    here = Comparison("a", [1.0, 1.1], [5.0, 5.1], higher=False, unfair="budgets differ")
    there = Comparison("b", [1.0, 1.1], [2.0, 2.1], higher=False)

    judgement = lead_grows(here, there)

    assert judgement.state is UNTESTED and judgement.evidence.endswith("; budgets differ")


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ([72.53, 72.55], [72.55, 72.57], HOLDS),
        ([73.0, 73.1], [72.55, 72.57], HOLDS),
        ([71.5, 71.6], [72.55, 72.57], FAILS),
        ([72.0, 73.0], [72.5, 72.6], UNTESTED),
        ([72.54], [72.56], UNTESTED),
    ],
)
def test_reaching_an_accuracy_is_not_being_clearly_short_of_it(first, second, state):
    """By more than the margin of 0.3 points; a single run of each decides nothing."""
    assert every_reached([Comparison("a to b", first, second)], 0.3).state is state


def test_one_run_that_is_missing_keeps_reaching_open():
    """All comparisons must be there for it to hold."""
    done = Comparison("a to b", [72.53, 72.55], [72.55, 72.57])
    assert every_reached([done, Comparison("c to d", [], [1.0])], 0.3).state is UNTESTED
    assert every_reached([], 0.3) == NO_RUN
