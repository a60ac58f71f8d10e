"""The strength of a penalty against epochs and error."""

import pytest
from finished import body_of, carve, evaluate, finished_runs, lines_of, plan_of

from kdbench.errors import DamagedData
from kdbench.exhibits.keys import SweepKey
from kdbench.report.figures.penalty_figure import draw
from kdbench.report.readings.sweep import read_sweep

FIGURE = "sbs/figure6"


def finished(project):
    """Of four searches three are finished, the first without meeting its budget."""
    plan = plan_of(project, FIGURE)
    specs = plan.graph.drawn[FIGURE]
    carve(plan, specs[SweepKey(0.001)], met=False)
    carve(plan, specs[SweepKey(0.002)], epochs=62.5)
    carve(plan, specs[SweepKey(0.004)], epochs=20)
    evaluate(plan, specs[SweepKey(0.002, students=True)], [94.0, 95.0])
    return plan


def tries(plan):
    """What the figure draws."""
    return read_sweep(finished_runs(plan, FIGURE), "lambda_2")


def test_epochs_are_counted_to_the_step_that_met_the_budget(project):
    """A search that never meets its budget counts all its epochs."""
    swept = tries(finished(project))

    assert [(t.x, t.search.met, t.search.epochs) for t in swept] == [
        (0.001, False, 100.0),
        (0.002, True, 62.5),
        (0.004, True, 20.0),
    ]


def test_a_search_that_misses_its_budget_is_marked(project):
    """Its point in the panel of epochs is hollow and says that the budget was not met."""
    left, right = draw(tries(finished(project)), "title", "").axes

    assert [x.get_xydata().tolist() for x in left.lines] == [
        [[0.001, 100.0]],
        [[0.002, 62.5]],
        [[0.004, 20.0]],
    ]
    assert [x.get_markerfacecolor() == "none" for x in left.lines] == [True, False, False]
    assert [t.get_text() for t in left.texts] == ["not met within 100"]
    assert right.containers[0].lines[0].get_xydata().tolist() == [[0.002, 5.5]]
    assert left.get_xscale() == right.get_xscale() == "log"


def test_body_and_csv_say_the_same(project):
    """Both have one line per finished penalty, with its epochs and the budget."""
    plan = finished(project)
    body, lines = body_of(plan, FIGURE), lines_of(plan, FIGURE)

    assert "not met within 100" in body and "62.50" in body and "5.50 ± 0.71 (2)" in body
    assert [x["lambda_2"] for x in lines] == ["0.001", "0.002", "0.004"]
    assert [x["budget_met"] for x in lines] == ["False", "True", "True"]
    assert [x["epochs"] for x in lines] == ["100.0", "62.5", "20.0"]


def test_a_student_without_its_search_is_kept(project):
    """The table shows its error, and that its search is not run yet."""
    plan = plan_of(project, FIGURE)
    evaluate(plan, plan.graph.drawn[FIGURE][SweepKey(0.002, students=True)], [90.0])

    (only,) = tries(plan)

    assert (only.x, only.search, only.error.mean) == (0.002, None, 10.0)
    assert "not run yet" in body_of(plan, FIGURE)


def test_a_search_of_0_steps_is_refused(project):
    """The error names the key of the record."""
    plan = plan_of(project, FIGURE)
    carve(plan, plan.graph.drawn[FIGURE][SweepKey(0.002)], steps=0)

    with pytest.raises(DamagedData, match=r"structure\.steps"):
        tries(plan)
