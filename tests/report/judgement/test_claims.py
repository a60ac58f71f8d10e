"""The papers' claims, judged by made-up records."""

import re

import pytest
from finished import ALL, carve, evaluate, plan_of
from judged import CLAIMS, FAILS, HOLDS, SEARCHED, UNTESTED, around, outcome

from kdbench.exhibits.claims import (
    Claim,
    FewerParameters,
    LeadGrows,
    RowsAbove,
    RunsAbove,
    SomeRunsAbove,
)
from kdbench.exhibits.keys import SizeKey
from kdbench.papers import all_claims, catalogue
from kdbench.report.judgement.evidence import UNMET
from kdbench.report.judgement.judge import NO_EXHIBIT, judge_claim, judge_claims
from kdbench.report.judgement.outcomes import NO_RUN
from kdbench.report.make import make_report
from kdbench.report.readings.records import Records

EXHIBITS = {exhibit.id: exhibit for exhibit in catalogue()}


def table(plan, exhibit, rows):
    """Finish cells of a table, the same accuracies in every column, by row."""
    for cell in plan.graph.cells[exhibit]:
        if cell.row.label in rows and cell.evaluation:
            evaluate(plan, cell.evaluation, rows[cell.row.label], reported="best")


def test_claims_are_of_exhibits_that_exist():
    """Ids are unique; a claim has a check where it has exhibits, and these exist."""
    assert len(CLAIMS) == len(all_claims()) > 20
    for claim in CLAIMS.values():
        assert (claim.check is None) == (not claim.exhibits)
        assert {*claim.exhibits, *(one.exhibit for one in claim.elsewhere)} <= EXHIBITS.keys()
        assert claim.text.endswith(".") and claim.where


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_check_runs_without_any_record(project, scale):
    """Every row, column and run that a check names is planned, and nothing is decided."""
    plan = project(scale=scale, exhibits=["all"], datasets=[*ALL, "cityscapes", "nyuv2"])

    for claim in CLAIMS.values():
        judgement = judge_claim(claim, plan.graph, Records(plan.paths))
        no_evidence = NO_EXHIBIT if claim.check is None else "none of its numbers is measured yet"
        assert (judgement.state, judgement.evidence) == (UNTESTED, no_evidence)
        for exhibit in claim.exhibits:
            if exhibit in plan.graph.drawn:
                assert runs_named_by(claim.check) <= plan.graph.drawn[exhibit].keys()


def runs_named_by(check):
    """Keys of a figure's or summary's runs that a check names."""
    singles = {getattr(check, part, None) for part in ("run", "row", "other", "whole", "base")}
    of_runs = isinstance(check, RunsAbove | SomeRunsAbove | FewerParameters)
    groups = (*(check.pairs if of_runs else ()), *getattr(check, "groups", ()))
    groups += (check.here, check.there) if isinstance(check, LeadGrows) else ()
    return {key for group in groups for key in group} | singles - {None}


def test_a_check_s_runs_are_all_looked_up():
    """Those of a pair, of a cost's rows, and of one search: a misspelt one would be noticed."""
    named = {name: runs_named_by(claim.check) for name, claim in CLAIMS.items()}

    assert named["dfa/collapse"] == {"plain loss"}
    assert named["distpro/cost"] == {"DistPro", "ReviewKD+"}
    assert len(named["distpro/growing-lead"]) == 4
    assert len(named["distpro/dropping"]) == 3 and len(named["sbs/distilled"]) == 36


@pytest.mark.parametrize(("ours", "state"), [(76.0, HOLDS), (74.0, FAILS), (75.05, UNTESTED)])
def test_a_row_is_held_against_others_in_every_column(project, ours, state):
    """DistPro against two rows in six columns makes 12 comparisons, which decide the claim."""
    plan = plan_of(project, "distpro/table1", seeds=3)
    rows = {"DistPro": around(ours), "equally weighted": around(75.0), "use alpha_T": around(75.0)}
    table(plan, "distpro/table1", rows)

    judgement = outcome(plan, "distpro/advantage")

    assert judgement.state is state
    assert f"{12 if state is HOLDS else 0} of 12 comparisons are clearly so" in judgement.evidence


def test_one_clear_failure_is_enough_and_one_missing_cell_too_few(project):
    """Six cells without runs leave the claim open; one that is clearly worse decides it."""
    plan = plan_of(project, "distpro/table1", seeds=3)
    table(plan, "distpro/table1", {"DistPro": around(76.0), "equally weighted": around(75.0)})
    missing = outcome(plan, "distpro/advantage")
    first = next(c for c in plan.graph.cells["distpro/table1"] if c.row.label == "use alpha_T")
    evaluate(plan, first.evaluation, around(77.0), reported="best")

    failed = outcome(plan, "distpro/advantage")

    assert (missing.state, failed.state) == (UNTESTED, FAILS)
    assert "6 without runs" in missing.evidence
    assert "1 clearly not" in failed.evidence and "use alpha_T, WRN-40-2" in failed.evidence


def test_numbers_that_are_not_comparable_are_evidence_and_decide_nothing(project):
    """The same numbers decide nothing there, nor where params.yaml changes a parameter."""
    rows = {"DistPro": around(76.0), "equally weighted": around(75.0), "use alpha_T": around(75.0)}
    lite = plan_of(project, "distpro/table1", scale="lite", seeds=3)
    own = plan_of(project, "distpro/table1", seeds=3, methods={"kd": {"temperature": 8.0}})
    for plan in (lite, own):
        table(plan, "distpro/table1", rows)

        judgement = outcome(plan, "distpro/advantage")

        assert judgement.state is UNTESTED
        assert judgement.evidence.startswith("here: 12 of 12 comparisons are clearly so")


@pytest.mark.parametrize(("best", "state"), [(80.0, HOLDS), (70.0, FAILS), (75.0, UNTESTED)])
def test_dfa_is_held_against_all_other_methods_of_both_tables(project, best, state):
    """The better teacher and DFA-T do not count in the 54 comparisons of both tables."""
    plan = plan_of(project, "dfa/table1", "dfa/table2", seeds=3)
    for exhibit in ("dfa/table1", "dfa/table2"):
        labels = [row.label for row in EXHIBITS[exhibit].rows if row.role == "student"]
        rows = {label: around(75.0) for label in labels}
        table(plan, exhibit, rows | {"teacher": [99.0], "DFA-T": around(99.0), "DFA": around(best)})

    judgement = outcome(plan, "dfa/best")

    assert judgement.state is state and "54 comparisons" in judgement.evidence


def test_a_plug_in_does_not_compete_in_a_paper_s_claim(project, tmp_path):
    """A row of one's own that beats DFA leaves the claim about DFA as it is."""
    (tmp_path / "own").mkdir()
    declared = 'kind = "method"\nclass = "Mine"\nlabel = "Mine"\nrevision = 1\n'
    (tmp_path / "own/mine.toml").write_text(declared)
    (tmp_path / "own/mine.py").write_text("class Mine: ...\n")
    plan = plan_of(project, "dfa", plugins=[str(tmp_path / "own")], seeds=3)
    for exhibit in ("dfa/table1", "dfa/table2"):
        rows = {cell.row.label for cell in plan.graph.cells[exhibit]}
        assert "Mine" in rows
        best = {"DFA": around(78.0), "DFA-T": around(78.0), "Mine": around(90.0)}
        table(plan, exhibit, {row: around(75.0) for row in rows} | best)

    assert outcome(plan, "dfa/best").state is HOLDS


def test_a_table_that_is_left_out_keeps_the_claim_open(project):
    """What holds in one table is undecided without the other; what fails in one fails."""
    for best, state in ((80.0, UNTESTED), (70.0, FAILS)):
        plan = plan_of(project, "dfa/table1", seeds=3)
        rows = {row.label: around(75.0) for row in EXHIBITS["dfa/table1"].rows}
        table(plan, "dfa/table1", rows | {"DFA": around(best)})

        judgement = outcome(plan, "dfa/best")

        assert judgement.state is state and judgement.evidence.endswith("leaves out dfa/table2")
    assert outcome(plan, "dfa/transfer").evidence == "params.yaml leaves out dfa/table2"


@pytest.mark.parametrize(("ours", "state"), [(75.1, HOLDS), (77.0, FAILS), (75.5, UNTESTED)])
def test_rows_are_near_where_the_whole_interval_is_within_the_margin(project, ours, state):
    """DFA-T is near DFA, far from it, or neither, by the interval of their difference."""
    plan = plan_of(project, "dfa/table2", seeds=3)
    table(plan, "dfa/table2", {"DFA": around(75.0), "DFA-T": around(ours)})

    assert outcome(plan, "dfa/transfer").state is state


@pytest.mark.parametrize(
    ("distilled", "met", "state"),
    [(96.0, True, HOLDS), (94.0, True, FAILS), (95.0, True, UNTESTED), (96.0, False, HOLDS)],
)
def test_columns_are_compared_by_error_and_one_network_with_itself_whatever_its_size(
    project, distilled, met, state
):
    """Every searched student distilled against from scratch: a missed budget is both twins'."""
    plan = plan_of(project, "sbs/table1", seeds=3)
    for cell in plan.graph.cells["sbs/table1"]:
        if cell.row.role == "student":
            top1 = distilled if cell.column.method == "kd" else 95.0
            evaluate(plan, cell.evaluation, around(top1))
            carve(plan, cell.evaluation.structure, met=met)

    judgement = outcome(plan, "sbs/distilled-found")

    assert judgement.state is state and UNMET not in judgement.evidence
    other = outcome(plan, "sbs/weighted")
    assert other.state is UNTESTED and (UNMET in other.evidence) == (not met)


@pytest.mark.parametrize(("light", "state"), [(96.0, HOLDS), (94.0, FAILS), (95.0, UNTESTED)])
def test_runs_of_a_figure_are_compared_by_error(project, light, state):
    """The light networks against the searched student, on CIFAR-100 and distilled."""
    plan = plan_of(project, "sbs/figure3", seeds=3)
    specs = plan.graph.drawn["sbs/figure3"]
    evaluate(plan, specs[SizeKey("CIFAR-100", SEARCHED, distilled=True)], around(95.0))
    for name in ("shufflenet-v2-sbs", "mobilenet-v2-sbs"):
        evaluate(plan, specs[SizeKey("CIFAR-100", name, distilled=True)], around(light))

    judgement = outcome(plan, "sbs/light-networks")

    assert judgement.state is state
    assert re.search(
        r"CIFAR-100, \w+-v2-sbs, distilled over CIFAR-100, searched", judgement.evidence
    )


def test_the_report_lists_the_claims_of_its_papers_alone(project):
    """Every one with its id, state and evidence, between exhibits and explanations."""
    plan = plan_of(project, "dfa/ablation", scale="lite", seeds=3)
    rows = {"DFA": around(76.0), "Random": around(75.0), "Average": around(75.0)}
    table(plan, "dfa/ablation", rows | {"Last": around(75.0)})

    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    section = text.partition("## The papers' claims\n")[2].partition("\n## ")[0]
    shown, _, folded = section.partition("3 without a finished run, not testable yet")
    assert shown.count("**not testable yet**") == 1 and "**holds**" not in section
    assert "(`dfa/aggregation`)" in shown and folded.count("(`dfa/") == 3
    assert "here: 3 of 3 comparisons are clearly so" in section
    assert "DistPro" not in section and text.index("## DFA") < text.index("## The papers' claims")


def test_claims_without_a_finished_run_are_folded(project):
    """A report at its beginning shows those that have evidence, and how many have none."""
    plan = plan_of(project, "dfa", scale="lite", seeds=3)
    rows = {"DFA": around(76.0), "Random": around(75.0), "Average": around(75.0)}
    table(plan, "dfa/ablation", rows | {"Last": around(75.0)})

    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    shown, _, folded = text.partition(" without a finished run, not testable yet</summary>")
    assert "here: 3 of 3 comparisons are clearly so" in shown and NO_RUN.evidence not in shown
    number = int(shown.rpartition("<details><summary>")[2])
    assert folded.partition("</details>")[0].count(NO_RUN.evidence) == number > 0


def test_claims_whose_exhibits_are_left_out_are_folded_too(project):
    """In Markdown and on the first screen; they have no more evidence than those of no run."""
    plan = plan_of(project, "dfa/ablation", scale="lite", seeds=3)
    rows = {"DFA": around(76.0), "Random": around(75.0), "Average": around(75.0)}
    table(plan, "dfa/ablation", rows | {"Last": around(75.0)})
    folder = make_report(plan.graph, plan.paths).parent

    shown, _, folded = (folder / "README.md").read_text().partition(" without a finished run, ")
    assert "params.yaml leaves out" in folded and "params.yaml leaves out" not in shown
    first, _, rest = (folder / "index.html").read_text().partition(" without a finished run<")
    assert "params.yaml leaves out" in rest and "params.yaml leaves out" not in first


def test_a_paper_without_claims_has_no_section(project):
    """The report of CRD's benchmark, which makes no claims, has no section of claims."""
    plan = plan_of(project, "crd/table1", scale="smoke")

    assert judge_claims(plan.graph, Records(plan.paths)) == []
    assert "papers' claims" not in make_report(plan.graph, plan.paths).read_text(encoding="utf-8")


def test_a_check_of_an_unknown_row_raises(project):
    """The unknown label is an error, not a run that is missing."""
    plan = plan_of(project, "distpro/table1")
    claim = Claim(
        id="x/y",
        text="",
        where="",
        exhibits=("distpro/table1",),
        check=RowsAbove((("DistPro", "nobody"),)),
    )

    with pytest.raises(KeyError, match="nobody"):
        judge_claim(claim, plan.graph, Records(plan.paths))
