"""The mean lead over columns."""

from math import isclose

import pytest

from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.means import mean_leads, means_decide, means_near
from kdbench.report.judgement.outcomes import every_better, every_near
from kdbench.report.readings.statistics import contrast, estimate, student_t95, welch

HOLDS, FAILS, UNTESTED = ClaimState
STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def column(lead, group="a over b", number=0, **more):
    """Five seeds on either side, of deviation 0.79."""
    first = [70.0 + number + lead + step for step in STEPS]
    return Comparison(
        f"{group}, {number}", first, [70.0 + number + step for step in STEPS], group=group, **more
    )


def test_six_columns_decide_what_none_decides_alone():
    """Leads of 0.8 with intervals of 1.15 each: their mean has one of about 1.15 / sqrt(6)."""
    six = [column(0.8, number=i) for i in range(6)]
    (mean,) = mean_leads(six)
    alone = welch(six[0].first, six[0].second)[1]

    assert mean.count == 6 and mean.whole and isclose(mean.lead, 0.8)
    assert mean.half is not None and alone is not None
    assert isclose(mean.half, alone / 6**0.5 * student_t95(48) / student_t95(8))
    judgement = every_better(six)
    assert judgement.state is UNTESTED and judgement.mean.state is HOLDS
    assert "a over b: +0.80 (±0.41) over 6" in judgement.mean.evidence
    assert "seeds decide: 0.41" in judgement.mean.evidence


def test_where_lower_is_better_a_lead_is_a_smaller_number():
    """Test errors."""
    six = [column(-0.8, number=i, higher=False) for i in range(6)]

    assert isclose(mean_leads(six)[0].lead, 0.8)


@pytest.mark.parametrize(
    ("leads", "state"), [((0.8, 0.8), HOLDS), ((0.8, -0.8), FAILS), ((0.8, 0.1), UNTESTED)]
)
def test_every_group_of_a_claim_must_lead(leads, state):
    """Better than b and than c, in six columns each; one that is clearly worse is enough."""
    columns = [
        column(lead, group, number=i)
        for lead, group in zip(leads, ("a over b", "a over c"), strict=True)
        for i in range(6)
    ]

    assert means_decide(columns)[0] is state


def test_a_failure_stands_out_among_the_means_of_a_claim():
    """A mean that counts against a claim alone may be the unluckiest of twenty."""
    worse = [column(-0.45, number=i) for i in range(6)]
    others = [column(0.8, f"a over {name}", number=i) for name in range(19) for i in range(6)]

    assert means_decide(worse)[0] is FAILS
    assert means_decide([*worse, *others])[0] is UNTESTED


def test_a_cell_in_several_comparisons_counts_once():
    """One student against two others: its own error is not halved by counting it twice."""
    one = column(0.0)
    shared = [
        Comparison("x", one.first, one.second, cells=("a", "b")),
        Comparison("y", one.first, [v - 1 for v in one.second], cells=("a", "c")),
    ]
    apart = [Comparison("x", one.first, one.second), Comparison("y", one.first, one.second)]
    cells = [estimate(v) for v in (one.first, one.second, shared[1].second)]
    expected = contrast([(1.0, cells[0]), (-0.5, cells[1]), (-0.5, cells[2])])

    (mean,), (independent,) = mean_leads(shared), mean_leads(apart)

    assert isclose(mean.lead, 0.5) and (mean.lead, mean.half) == pytest.approx(expected)
    assert mean.half > independent.half * 1.1


def test_what_is_missing_or_unfair_leaves_a_claim_open_in_the_mean():
    """The mean is of the others; it can still fail."""
    missing = Comparison("a over b, x", [], [1.0], group="a over b")
    unfair = column(9.0, number=7, unfair="no twin")
    for other in (missing, unfair):
        good = [*(column(0.8, number=i) for i in range(6)), other]
        bad = [*(column(-0.8, number=i) for i in range(6)), other]

        assert means_decide(good)[0] is UNTESTED and mean_leads(good)[0].count == 6
        assert isclose(mean_leads(good)[0].lead, 0.8)
        assert means_decide(bad)[0] is FAILS


def test_one_column_has_no_mean():
    """Its own interval says all."""
    assert mean_leads([column(0.8)]) == [] and every_better([column(0.8)]).mean is None


@pytest.mark.parametrize(("lead", "state"), [(0.05, HOLDS), (1.5, FAILS), (0.5, UNTESTED)])
def test_a_mean_difference_is_near_by_its_whole_interval(lead, state):
    """Within 0.5 with an interval of 0.41."""
    six = [column(lead, number=i) for i in range(6)]

    assert means_near(six, 0.5)[0] is state
    assert every_near(six, 0.5).mean.state is state


def test_of_many_means_the_smallest_is_shown():
    """The others lead by more."""
    columns = [column(lead, f"a over {lead}", i) for lead in (1, 2, 3, 4) for i in range(2)]
    evidence = every_better(columns).mean.evidence

    assert evidence.startswith("smallest of 4: a over 1: +1.00")
    assert "a over 2" not in evidence


def test_single_runs_have_no_mean_interval():
    """They show a mean lead and decide nothing."""
    columns = [Comparison("x", [2.0], [1.0]), Comparison("y", [3.0], [1.0])]
    (mean,) = mean_leads(columns)

    assert (mean.lead, mean.half) == (1.5, None)
    assert means_decide(columns)[0] is means_near(columns, 9.0)[0] is UNTESTED
