"""Claims whose evidence lies in several exhibits, and the claims of DistPro and DFA beside them."""

import pytest
from finished import evaluate, plan_of
from judged import CLAIMS, FAILS, HOLDS, UNTESTED, around, outcome
from test_claims import EXHIBITS, table

from kdbench.exhibits.tables import NamedRuns, Table
from kdbench.report.judgement.judge import judge_claims
from kdbench.report.readings.records import Records

CONTROLS = "ours/controls"
WEIGHTS = ("random weights", "equal weights", "last map of each stage")


def controls(plan, dfa, others):
    """Finish DFA and the rows with weights that nobody searched, in the table of controls."""
    rows = {f"DFA's loss, {weights}": around(others) for weights in WEIGHTS}
    table(plan, CONTROLS, rows | {"DFA": around(dfa)})


def test_a_claim_takes_what_another_table_shows():
    """Every name that a claim gives to another exhibit's rows, columns or runs is there."""
    shared = [(claim, one) for claim in CLAIMS.values() for one in claim.elsewhere]

    for claim, one in shared:
        exhibit = EXHIBITS[one.exhibit]
        if isinstance(exhibit, Table):
            names = {row.label for row in exhibit.rows}
            names |= {column.setting or column.label for column in exhibit.all_columns}
        else:
            assert isinstance(exhibit, NamedRuns)
            names = {name for name, _ in exhibit.requests}
        assert {there for _, there in one.names} <= names, claim.id
    assert shared


def test_at_lite_the_evidence_is_that_of_the_controls(project):
    """Where the paper's own table has no run: it is told, and decides nothing."""
    plan = plan_of(project, "dfa/ablation", CONTROLS, scale="lite", seeds=3)
    controls(plan, dfa=18.2, others=19.0)

    judgement = outcome(plan, "dfa/aggregation")

    assert judgement.state is UNTESTED and judgement.evidence.startswith("here: 0 of 6 comparisons")
    assert "3 clearly not, 3 without runs; smallest lead: DFA over Random" in judgement.evidence
    assert f"({CONTROLS}), -0.80 (±0.32)" in judgement.evidence


@pytest.mark.parametrize(
    ("own", "elsewhere", "state"),
    [(76.0, 76.0, HOLDS), (76.0, 74.0, FAILS), (74.0, 76.0, FAILS), (76.0, None, HOLDS)],
)
def test_all_exhibits_of_a_claim_count_together(project, own, elsewhere, state):
    """The table on request is no part of it where nobody asks for it."""
    asked = ["dfa/ablation", *([CONTROLS] if elsewhere else [])]
    plan = plan_of(project, *asked, seeds=3)
    rows = {label: around(75.0) for label in ("Random", "Average", "Last")}
    table(plan, "dfa/ablation", rows | {"DFA": around(own)})
    if elsewhere:
        controls(plan, dfa=elsewhere, others=75.0)

    assert outcome(plan, "dfa/aggregation").state is state


def test_claims_are_listed_with_the_exhibits_that_hold_evidence_of_them(project):
    """The controls alone bring the two claims that they bear on, not the papers' others."""
    plan = plan_of(project, CONTROLS, scale="lite", seeds=3)
    controls(plan, dfa=18.2, others=19.0)

    shown = {
        claim.id: judgement for claim, judgement in judge_claims(plan.graph, Records(plan.paths))
    }

    assert set(shown) == {"dfa/aggregation", "distpro/advantage"}
    evidence = shown["dfa/aggregation"].evidence
    assert evidence.startswith("here: 0 of 3") and "leaves out dfa/ablation" in evidence


def test_a_cell_that_two_exhibits_share_is_one_comparison(project):
    """The side-by-side table has other rows than Table 1, but the same runs of one pair."""
    plan = plan_of(project, "distpro/table1", "ours/searches", seeds=3)
    table(plan, "distpro/table1", {"DistPro": around(76.0), "ReviewKD+": around(75.0)})
    table(plan, "ours/searches", {"DistPro": around(76.0), "ReviewKD": around(75.0)})

    judgement = outcome(plan, "distpro/reviewkd")

    assert judgement.state is HOLDS and "6 of 6 comparisons" in judgement.evidence


def test_l2t_is_compared_where_the_paper_prints_it(project):
    """Two of six pairs; elsewhere it may be better."""
    plan = plan_of(project, "distpro/table1", seeds=3)
    table(plan, "distpro/table1", {"DistPro": around(76.0), "L2T-ww+": around(77.0)})
    for cell in plan.graph.cells["distpro/table1"]:
        if cell.row.label == "L2T-ww+" and cell.column.pair.teacher == "resnet32x4":
            evaluate(plan, cell.evaluation, around(75.0), reported="best")

    judgement = outcome(plan, "distpro/l2t")

    assert judgement.state is HOLDS and "2 of 2 comparisons" in judgement.evidence
    assert "printed: +0.15 to +0.83 (2)" in judgement.evidence


@pytest.mark.parametrize(("better", "state"), [(2, HOLDS), (1, FAILS)])
def test_several_pairs_are_two_of_six(project, better, state):
    """The last weights above ReviewKD in some pairs, below in the others."""
    plan = plan_of(project, "distpro/table1", seeds=3)
    table(plan, "distpro/table1", {"ReviewKD+": around(75.0), "use alpha_T": around(73.0)})
    last = [c for c in plan.graph.cells["distpro/table1"] if c.row.label == "use alpha_T"]
    for cell in last[:better]:
        evaluate(plan, cell.evaluation, around(77.0), reported="best")

    assert outcome(plan, "distpro/alpha-t").state is state


def test_what_the_paper_s_own_numbers_contradict_is_seen(project):
    """Equal weights below ReviewKD in every pair: in print one lead is negative."""
    plan = plan_of(project, "distpro/table1", seeds=3)
    table(plan, "distpro/table1", {"ReviewKD+": around(75.0), "equally weighted": around(74.0)})

    judgement = outcome(plan, "distpro/equal")

    assert judgement.state is judgement.mean.state is HOLDS
    assert "printed: -0.03 to +2.98 (6)" in judgement.evidence


@pytest.mark.parametrize(("seconds", "state"), [(20, HOLDS), (120, FAILS), (50, UNTESTED)])
def test_the_search_is_held_against_the_training(project, seconds, state):
    """A training takes 100 here."""
    plan = plan_of(project, "distpro/cost", seeds=1)
    spec = plan.graph.drawn["distpro/cost"]["DistPro"]
    evaluate(plan, spec, [75.0])
    plan.write(spec.runs[0], cost={"seconds": 100.0, "steps": 100})
    plan.write(spec.runs[0].upstream["search"], cost={"seconds": float(seconds), "steps": 50})

    judgement = outcome(plan, "distpro/search-cost")

    assert judgement.state is state and f"{seconds / 100:.3g} (our thresholds" in judgement.evidence
