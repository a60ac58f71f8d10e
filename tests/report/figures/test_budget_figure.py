"""Accuracy against the epochs of a training."""

import pytest
from finished import body_of, evaluate, finished_runs, lines_of, plan_of

from kdbench.errors import BadValue
from kdbench.exhibits.claims import RunsAbove
from kdbench.exhibits.keys import BudgetKey
from kdbench.papers.distpro_claims import CLAIMS
from kdbench.report.figures.budget_figure import draw, read_points
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.judge import judge_claim
from kdbench.report.readings.records import Records

FIGURE = "distpro/budgets"


def finished(project, leads, **params):
    """Both methods at some budgets; DistPro is ahead by so much at each."""
    plan = plan_of(project, FIGURE, **params)
    runs = plan.graph.drawn[FIGURE]
    for (epochs, lead), accuracy in zip(leads.items(), (70.0, 72.0, 74.0, 75.0), strict=False):
        for method, value in (("ReviewKD", accuracy), ("DistPro", accuracy + lead)):
            evaluate(plan, runs[BudgetKey(method, epochs)], [value - 0.1, value, value + 0.1])
    return plan


def test_every_method_is_a_line_over_its_epochs(project):
    """Points by rising epochs, on a logarithmic axis that names each budget."""
    points = read_points(finished_runs(finished(project, {240: 0.5, 24: 3.0}), FIGURE))
    (axes,) = draw(points, "title", "").axes

    lines = {c.get_label(): c.lines[0].get_xydata().tolist() for c in axes.containers}
    assert lines == {
        "DistPro": [[24, pytest.approx(75.0)], [240, pytest.approx(70.5)]],
        "ReviewKD": [[24, pytest.approx(72.0)], [240, pytest.approx(70.0)]],
    }
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["24", "240"]


def test_body_and_csv_of_budgets_say_the_same(project):
    """A line a method and budget; what is not run is named."""
    plan = finished(project, {24: 3.0})
    evaluate(plan, plan.graph.drawn[FIGURE][BudgetKey("DistPro", 48)], [80.0])
    body, lines = body_of(plan, FIGURE), lines_of(plan, FIGURE)

    assert "73.00 ± 0.10 (3)" in body and "80.00 (1)" in body and "not run yet" in body
    assert [(x["method"], x["epochs"]) for x in lines] == [
        ("ReviewKD", "24"),
        ("DistPro", "24"),
        ("DistPro", "48"),
    ]
    assert [float(x["top1"]) for x in lines] == pytest.approx([70.0, 73.0, 80.0])


def test_budgets_that_a_scale_makes_equal_are_one_point(project):
    """At smoke 24 and 48 published epochs are both one."""
    plan = finished(project, {24: 1.0, 48: 1.0, 240: 1.0}, scale="smoke")

    points = read_points(finished_runs(plan, FIGURE))

    assert [(p.method, p.epochs) for p in points if p.method == "DistPro"] == [
        ("DistPro", 1),
        ("DistPro", 4),
    ]


@pytest.mark.parametrize(
    ("leads", "state"),
    [
        ({24: 3.0, 48: 2.0, 120: 1.0, 240: 1.0}, ClaimState.HOLDS),
        ({24: 3.0, 48: 2.0, 120: 1.0, 240: -1.0}, ClaimState.FAILS),
        ({24: 3.0, 48: 2.0, 120: 1.0}, ClaimState.UNTESTED),
    ],
)
def test_the_claim_is_about_every_budget(project, leads, state):
    """One budget at which ReviewKD is better refutes it; one without runs leaves it open."""
    plan = finished(project, leads)
    (claim,) = (one for one in CLAIMS if one.id == "distpro/every-budget")

    assert isinstance(claim.check, RunsAbove) and len(claim.check.pairs) == 4
    assert judge_claim(claim, plan.graph, Records(plan.paths)).state is state


@pytest.mark.parametrize(
    ("leads", "state"),
    [
        ({24: 3.0, 48: 2.0, 120: 1.0, 240: 1.0}, ClaimState.HOLDS),
        ({24: 1.0, 240: 3.0}, ClaimState.FAILS),
        ({24: 1.0, 240: 1.0}, ClaimState.UNTESTED),
        ({24: 3.0, 48: 2.0, 120: 1.0}, ClaimState.UNTESTED),
    ],
)
def test_the_lead_grows_from_the_whole_budget_to_the_smallest(project, leads, state):
    """Those between decide nothing."""
    plan = finished(project, leads)
    (claim,) = (one for one in CLAIMS if one.id == "distpro/growing-lead")

    assert judge_claim(claim, plan.graph, Records(plan.paths)).state is state


def test_what_is_no_student_is_refused_in_one_line(project):
    """A search has no accuracy."""
    plan = plan_of(project, "distpro/figure6")
    spec = plan.graph.drawn["distpro/figure6"]["search"]

    with pytest.raises(BadValue, match="requests of budgets: found 'search', expected students"):
        read_points({"search": (spec, None)})


def test_published_numbers_stand_beside_ours_where_a_figure_has_some(project):
    """DistPro's Figure 5, with their source where they were read off the printed figure."""
    plan = plan_of(project, "distpro/figure5")
    runs = plan.graph.drawn["distpro/figure5"]
    evaluate(plan, runs[BudgetKey("DistPro, MobileNet", 10)], [65.0])
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in body_of(plan, "distpro/figure5").splitlines()
        if line.startswith(("| DistPro, ", "| ReviewKD* (cosine), "))
    ]

    assert len(lines) == len(runs) == 20
    assert ["DistPro, MobileNet", "10", "10", "65.00 (1)", "65.25", ""] in lines
    source = "paper figure, read off pixels (+-0.1)"
    assert ["DistPro, ResNet18", "10", "", "not run yet", "65.30", source] in lines
