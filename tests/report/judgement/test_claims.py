"""The papers' claims, judged by made-up records."""

import re

import pytest
from finished import TRANSFORMS, carve, dense, evaluate, plan_of, search

from kdbench.exhibits.claims import (
    Claim,
    FewerParameters,
    RowsAbove,
    RunsAbove,
    SomeRunsAbove,
)
from kdbench.exhibits.keys import NetworkRole, SizeKey, SweepKey
from kdbench.papers import all_claims, catalogue
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.evidence import UNMET
from kdbench.report.judgement.judge import NO_EXHIBIT, judge_claim, judge_claims
from kdbench.report.make import make_report
from kdbench.report.readings.records import Records

CLAIMS = {claim.id: claim for claim in all_claims()}
EXHIBITS = {exhibit.id: exhibit for exhibit in catalogue()}
HOLDS, FAILS, UNTESTED = ClaimState
SEARCHED = NetworkRole.SEARCHED


def outcome(plan, name):
    """How a claim stands."""
    return judge_claim(CLAIMS[name], plan.graph, Records(plan.paths))


def table(plan, exhibit, rows):
    """Finish cells of a table, the same accuracies in every column, by row."""
    for cell in plan.graph.cells[exhibit]:
        if cell.row.label in rows and cell.evaluation:
            evaluate(plan, cell.evaluation, rows[cell.row.label], reported="best")


def around(mean):
    """Three seeds that spread little."""
    return [mean - 0.1, mean, mean + 0.1]


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
    plan = plan_of(project, "all", scale=scale)

    for claim in CLAIMS.values():
        judgement = judge_claim(claim, plan.graph, Records(plan.paths))
        no_evidence = NO_EXHIBIT if claim.check is None else "no run of it is finished"
        assert (judgement.state, judgement.evidence) == (UNTESTED, no_evidence)
        for exhibit in claim.exhibits:
            if exhibit in plan.graph.drawn:
                assert runs_named_by(claim.check) <= plan.graph.drawn[exhibit].keys()


def runs_named_by(check):
    """Keys of a figure's or summary's runs that a check names."""
    singles = {getattr(check, part, None) for part in ("run", "row", "other", "whole", "base")}
    of_runs = isinstance(check, RunsAbove | SomeRunsAbove | FewerParameters)
    groups = (*(check.pairs if of_runs else ()), *getattr(check, "groups", ()))
    return {key for group in groups for key in group} | singles - {None}


def test_a_check_s_runs_are_all_looked_up():
    """Those of a pair, of a cost's rows, and of one search: a misspelt one would be noticed."""
    named = {name: runs_named_by(claim.check) for name, claim in CLAIMS.items()}

    assert named["dfa/collapse"] == {"plain loss"}
    assert named["distpro/cost"] == {"DistPro", "ReviewKD+"}
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


NAMES = [f"t{t}-s{s}-{k}" for t in (1, 2, 3) for s in (1, 2, 3) for k in TRANSFORMS]


def process(*ends):
    """Rows in which the weights of maps 1 and 3 go from 0.1 to each of the ends, ten steps each."""
    rows, begin = [], (0.1, 0.1)
    for end in ends:
        for step in range(1, 11):
            low, high = (a + (b - a) * step / 10 for a, b in zip(begin, end, strict=True))
            rows.append([low] * 9 + [0.1] * 9 + [high] * 9)
        begin = end
    return rows


EARLY, LATE = (0.2, 0.05), (0.05, 0.2)


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ((EARLY, LATE, LATE), HOLDS),
        ((LATE, LATE, LATE), FAILS),  # rises, but low maps never dominate
        ((EARLY, EARLY, (0.2, 0.04)), FAILS),  # low maps dominate to the end
        (((0.11, 0.1), LATE, LATE), UNTESTED),  # they hardly dominate
        ((EARLY, (0.14, 0.1), (0.13, 0.1)), UNTESTED),  # it hardly rises
    ],
)
def test_weight_rises_where_low_maps_dominate_first(project, ends, state):
    """The centre is below that of equal weights early, and higher at the end than it began."""
    plan = plan_of(project, "distpro/figure6")
    search(plan, plan.graph.drawn["distpro/figure6"]["search"], NAMES, process(*ends))

    assert outcome(plan, "distpro/rise").state is state


def test_the_centre_is_that_of_an_early_quarter_and_of_both_ends(project):
    """A tenth of the listed steps at both ends; equal weights have theirs at map 2."""
    plan = plan_of(project, "distpro/figure6")
    spec = plan.graph.drawn["distpro/figure6"]["search"]
    rows = [[0.3] * 9 + [0.1] * 9 + [0.1] * 9] * 5 + [[0.1] * 9 + [0.1] * 9 + [0.2] * 9] * 15
    search(plan, spec, NAMES, rows)

    evidence = outcome(plan, "distpro/rise").evidence
    assert "less that of equal weights: -0.4 (our thresholds" in evidence
    assert "in teacher maps: 0.65 (our thresholds" in evidence  # from 1.6 to 0.9 / 0.4


@pytest.mark.parametrize(("end", "state"), [(0.005, HOLDS), (0.11, FAILS), (0.05, UNTESTED)])
def test_weights_vanish_where_the_largest_does(project, end, state):
    """The largest weight at the end is held against the mean at the beginning."""
    plan = plan_of(project, "distpro/first-order")
    rows = [[0.1] * 3, [0.0, 0.0, end]]
    names = ["t1-s1-a", "t2-s1-a", "t3-s1-a"]
    search(plan, plan.graph.drawn["distpro/first-order"]["search"], names, rows)

    assert outcome(plan, "distpro/first-order").state is state


RISING = (0.1, 0.2, 0.3)
TILTED = (0.15, 0.1, 0.3)  # correlates with RISING by about 0.7


@pytest.mark.parametrize(
    ("last", "seed", "state"),
    [
        (RISING, RISING, HOLDS),
        ((0.3, 0.2, 0.1), RISING, FAILS),
        (TILTED, RISING, UNTESTED),
        (TILTED, TILTED, HOLDS),  # no less alike than two seeds of one pair
        (RISING, (0.3, 0.2, 0.1), UNTESTED),  # two seeds of one pair are not alike
    ],
)
def test_processes_are_alike_where_they_are_as_alike_as_seeds(project, last, seed, state):
    """One of six searches decides; with five, or without another seed, likeness is not shown."""
    plan = plan_of(project, "distpro/similarity")
    names, flat = ["t1-s1-a", "t2-s1-a", "t3-s1-a"], [0.2, 0.2, 0.2]
    *others, one = (run for run in plan.graph.drawn["distpro/similarity"].values() if not run.seed)
    for spec in others:
        search(plan, spec, names, [flat, [*RISING]])
    alone = outcome(plan, "distpro/alike")
    for spec in plan.graph.drawn["distpro/similarity"].values():
        if spec.seed:
            search(plan, spec, names, [flat, [*seed]])
    five = outcome(plan, "distpro/alike")
    search(plan, one, names, [flat, [*last]])

    judgement = outcome(plan, "distpro/alike")

    assert alone.state is UNTESTED and alone.evidence.endswith("no second seed to hold it against")
    assert five.state is UNTESTED
    assert judgement.state is state and "15 pairs" in judgement.evidence


@pytest.mark.parametrize(
    ("first", "state"), [((0.8, 0.7), HOLDS), ((0.8, 0.5), FAILS), ((0.8, 0.6), UNTESTED)]
)
def test_the_shallowest_block_takes_all_in_every_group(project, first, state):
    """The smallest of two groups decides; 0.75 of two blocks is half of what one can gain."""
    plan = plan_of(project, "dfa/weights")
    a, b = first[0], first[1] if state is not HOLDS else 0.75
    names = ["g1-b1", "g1-b2", "g2-b1", "g2-b2", "g3-b1"]
    row = [a, 1 - a, b, 1 - b, 1.0]
    search(plan, plan.graph.drawn["dfa/weights"]["plain loss"], names, [row])

    judgement = outcome(plan, "dfa/collapse")

    assert judgement.state is state and "smallest of 2 groups" in judgement.evidence


@pytest.mark.parametrize(
    ("gone", "met", "state"),
    [
        ([], True, HOLDS),
        ([(3, i, "in") for i in range(3)], True, FAILS),
        ([(3, 0, "in")], True, UNTESTED),
        ([], False, UNTESTED),
    ],
)
def test_the_third_block_is_whole_in_every_search(project, gone, met, state):
    """12, 4 or 0 of 18 channels removed; a search short of its budget shows nothing."""
    plan = plan_of(project, "sbs/figure5")
    *others, other = plan.graph.drawn["sbs/figure5"].values()
    for one in others:
        carve(plan, one)
    alone = outcome(plan, "sbs/third-block")
    carve(plan, other, met=met, connections=dense(gone=gone))

    assert alone.state is UNTESTED
    assert outcome(plan, "sbs/third-block").state is state


@pytest.mark.parametrize(
    ("epochs", "top1", "met", "state"),
    [
        (80, 95.0, True, HOLDS),
        (80, 93.0, True, FAILS),
        (20, 95.0, True, FAILS),
        (80, 94.0, True, UNTESTED),
        (80, 95.0, False, UNTESTED),
    ],
)
def test_the_smallest_penalty_takes_longer_and_finds_better(project, epochs, top1, met, state):
    """Against the largest: 40 epochs, accuracy 94."""
    plan = plan_of(project, "sbs/figure6", seeds=3)
    specs = plan.graph.drawn["sbs/figure6"]
    carve(plan, specs[SweepKey(0.001)], epochs=epochs, met=met)
    carve(plan, specs[SweepKey(0.008)], epochs=40)
    assert outcome(plan, "sbs/penalty").state is UNTESTED
    evaluate(plan, specs[SweepKey(0.001, students=True)], around(top1))
    evaluate(plan, specs[SweepKey(0.008, students=True)], around(94.0))
    partial = outcome(plan, "sbs/penalty")
    assert partial.state is UNTESTED and "4 runs of the figure are missing" in partial.evidence
    for value in (0.002, 0.004):
        carve(plan, specs[SweepKey(value)], epochs=45)
        evaluate(plan, specs[SweepKey(value, students=True)], around(94.5))

    assert outcome(plan, "sbs/penalty").state is state


@pytest.mark.parametrize(
    ("errors", "met", "state"),
    [
        ([5.0, 5.3, 5.5, 6.0, 7.0], True, HOLDS),
        ([7.0, 6.6, 6.3, 5.8, 5.0], True, FAILS),
        ([5.0, 6.0, 5.0, 6.0, 5.0], True, UNTESTED),
        ([5.0, 5.3, 5.5, 6.0, 7.0], False, UNTESTED),
        ([5.0, 5.3], True, UNTESTED),
        ([5.0, 5.3, 6.0], True, UNTESTED),
    ],
)
def test_the_error_rises_with_the_divergence(project, errors, met, state):
    """Five points whose correlation is beyond chance decide, unless a budget was missed."""
    plan = plan_of(project, "sbs/figure4", seeds=1)
    specs = plan.graph.drawn["sbs/figure4"]
    for value, error in zip((0.0, 0.25, 0.5, 0.75, 1.0), errors, strict=False):
        evaluate(plan, specs[SweepKey(value, students=True)], [100 - error])
        carve(plan, specs[SweepKey(value)], met=met)

    assert outcome(plan, "sbs/kl0").state is state


def test_the_report_lists_the_claims_of_its_papers_alone(project):
    """Every one with its state and evidence, between exhibits and explanations."""
    plan = plan_of(project, "dfa/ablation", scale="lite", seeds=3)
    rows = {"DFA": around(76.0), "Random": around(75.0), "Average": around(75.0)}
    table(plan, "dfa/ablation", rows | {"Last": around(75.0)})

    text = make_report(plan.graph, plan.paths).read_text(encoding="utf-8")

    section = text.partition("## The papers' claims\n")[2].partition("\n## ")[0]
    assert section.count("**not testable yet**") == 4 and "**holds**" not in section
    assert "here: 3 of 3 comparisons are clearly so" in section
    assert "DistPro" not in section and text.index("## DFA") < text.index("## The papers' claims")


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
