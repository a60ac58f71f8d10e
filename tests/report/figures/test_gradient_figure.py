"""The figure of what pulls at DFA's aggregation weights."""

import pytest
from finished import body_of, finished_runs, lines_of, plan_of, search

from kdbench.errors import DamagedData
from kdbench.report.figures.gradient_figure import draw
from kdbench.report.readings.path_gradients import read_path_gradients

FIGURE = "dfa/gradients"
NAMES = ["g1-b1", "g1-b2", "g3-b1", "g3-b2"]
ROWS = [[0.5, 0.5, 0.5, 0.5]] * 6
GRADIENTS = {
    "steps": [0, 1, 2, 3, 4, 5],
    "st": [None, 0.25, 0.75, None, 4.0, 2.0],
    "ts": [None, 0.5, 0.5, None, 1.0, 1.0],
    "cosine": [None, -0.5, 0.5, None, -1.0, -0.5],
}


def finished(project, **gradients):
    """The figure's plan with its first search finished: two groups of three steps."""
    plan = plan_of(project, FIGURE)
    spec = next(iter(plan.graph.drawn[FIGURE].values()))
    search(plan, spec, NAMES, ROWS, gradients={**GRADIENTS, **gradients})
    return plan


def read(plan):
    """What the figure draws."""
    return [read_path_gradients(n, s, r) for n, (s, r) in finished_runs(plan, FIGURE).items()]


def test_steps_belong_to_the_group_whose_turn_it_was(project):
    """Groups keep their numbers; where β rested there is no value, and the medians pass it by."""
    (one,) = read(finished(project))

    assert one.groups == [1, 3] and one.turns == [1, 1, 1, 3, 3, 3]
    assert one.values["st"] == GRADIENTS["st"] and one.paths == ["st", "ts"]
    assert [one.middle("st", group) for group in (1, 3)] == [0.5, 3.0]
    assert one.middle("fd", 1) is None
    assert one.epochs[3] == 25.0  # of 50


def test_lines_are_broken_where_beta_rested_and_turns_are_marked(project):
    """Norms above, the cosine below; a vertical line where the second group's turn begins."""
    norms, cosine = draw(read(finished(project)), "title", "").axes
    student, teacher, border = norms.lines

    assert [str(v) for v in student.get_ydata()] == ["nan", "0.25", "0.75", "nan", "4.0", "2.0"]
    assert list(teacher.get_ydata())[1:3] == [0.5, 0.5] and norms.get_yscale() == "log"
    assert set(border.get_xdata()) == {25.0}
    assert list(cosine.lines[0].get_ydata())[4:] == [-1.0, -0.5]


def test_a_search_with_one_path_has_no_cosine(project):
    """The table leaves it out, as a path that was not searched with."""
    plan = plan_of(project, FIGURE)
    spec = next(iter(plan.graph.drawn[FIGURE].values()))
    alone = {key: GRADIENTS[key] for key in ("steps", "st")}
    search(plan, spec, NAMES, ROWS, gradients=alone)
    first = next(line for line in body_of(plan, FIGURE).splitlines() if "wrn-16-2 | 1" in line)

    assert "5.00e-01" in first and first.count("e-01") == 1
    assert draw(read(plan), "title", "").axes[1].get_label().endswith("cosine")


def test_the_table_has_the_medians_of_every_turn_and_the_csv_every_step(project):
    """With the words that the docs use for the paths."""
    plan = finished(project)
    body, lines = body_of(plan, FIGURE), lines_of(plan, FIGURE)

    assert "gradient, student to teacher" in body and "3.00e+00" in body and "-0.75" in body
    assert len(lines) == 6 and lines[4]["st"] == "4.0" and lines[3]["cosine"] == ""


def test_a_record_without_gradients_is_refused_in_one_line(project):
    """It says where."""
    plan = plan_of(project, FIGURE)
    search(plan, next(iter(plan.graph.drawn[FIGURE].values())), NAMES, ROWS)
    with pytest.raises(DamagedData, match="gradients"):
        read(plan)
