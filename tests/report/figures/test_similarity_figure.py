"""How alike searched processes are."""

from dataclasses import replace

import pytest
from finished import body_of, finished_runs, lines_of, plan_of, search

from kdbench.report.figures.similarity_figure import draw
from kdbench.report.readings.course import (
    NOT_DEFINED,
    OTHER_SPACE,
    POINTS,
    likeness,
    read_course,
)

FIGURE = "distpro/similarity"
NAMES = ["t1-s1-a", "t1-s2-a", "t2-s1-a"]
RISING = [[0.2, 0.2, 0.2], [0.1, 0.3, 0.6]]
FALLING = [[0.2, 0.2, 0.2], [0.3, 0.1, -0.2]]
COST = {"seconds": 20.0, "steps": 10}


def finished(project, *processes):
    """The first searches of the figure, of (names, rows)."""
    plan = plan_of(project, FIGURE)
    for spec, (names, rows) in zip(plan.graph.drawn[FIGURE].values(), processes, strict=False):
        search(plan, spec, names, rows, cost=COST)
    return plan


def courses(plan):
    """What the figure compares."""
    return [read_course(n, r) for n, (_, r) in finished_runs(plan, FIGURE).items()]


def test_weights_are_interpolated_onto_one_axis_of_time(project):
    """Records of two steps and of five give the same weights at the same points of time."""
    short = [[0.0, 0, 0], [1.0, 0, 0]]
    long = [[i / 4, 0, 0] for i in range(5)]
    one, other = courses(finished(project, (NAMES, short), (NAMES, long)))

    assert len(one.weights["t1-s1-a"]) == POINTS
    assert one.weights["t1-s1-a"] == pytest.approx([i / (POINTS - 1) for i in range(POINTS)])
    assert other.weights["t1-s1-a"] == pytest.approx(one.weights["t1-s1-a"])


def test_likeness_is_pearsons_over_all_pathways_and_times(project):
    """It is -1 with the mirror image, and 1 with the same process in another order of pathways."""
    turned = [row[::-1] for row in RISING]
    plan = finished(project, (NAMES, RISING), (NAMES, FALLING), (NAMES[::-1], turned))
    one, mirror, same = courses(plan)

    assert likeness(one, mirror) == pytest.approx(-1)
    assert likeness(one, same) == pytest.approx(1)


def test_other_pathways_are_another_space(project):
    """Searches of other pathways have no correlation, and one that never varies has none either."""
    other = [*NAMES[:2], "t3-s1-a"]
    flat = [[0.25] * 3] * 2
    one, two, three = courses(finished(project, (NAMES, RISING), (other, RISING), (NAMES, flat)))

    assert likeness(one, two) == OTHER_SPACE
    assert likeness(one, three) == NOT_DEFINED


def test_the_matrix_holds_numbers_or_says_why_not(project):
    """A cell without a correlation is blank and says why."""
    other = [*NAMES[:2], "t3-s1-a"]
    plan = finished(project, (NAMES, RISING), (NAMES, FALLING), (other, RISING))

    axes, _ = draw(courses(plan), "title", "").axes

    assert axes.collections[0].get_array().filled(9.0).tolist() == [
        pytest.approx([1, -1, 9]),
        pytest.approx([-1, 1, 9]),
        pytest.approx([9, 9, 1]),
    ]
    texts = [t.get_text() for t in axes.texts]
    assert texts.count("other\nspace") == 4 and texts.count("-1.00") == 2
    assert axes.collections[0].get_clim() == (-1.0, 1.0)


def test_a_pair_takes_two_lines_on_the_axes(project):
    """A search that is no pair's is labelled with its own name."""
    (pair,) = courses(finished(project, (NAMES, RISING)))
    exact = replace(pair, key="exact")

    axes, _ = draw([pair, exact], "title", "").axes

    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["wrn-40-2\nwrn-16-2", "exact"]
    assert [label.get_text() for label in axes.get_yticklabels()] == labels


def test_the_table_shows_both_ends_of_a_search_and_its_cost(project):
    """A search's line has mean weights per teacher map at both ends, seconds and its pace."""
    body = body_of(finished(project, (NAMES, RISING)), FIGURE)

    (line,) = (x for x in body.splitlines() if "wrn-40-2:wrn-16-2" in x)
    parts = [part.strip() for part in line.split("|")[1:-1]]
    assert parts[1:] == ["0.2000 → 0.2000", "0.2000 → 0.6000", "20", "0.50"]


def test_the_csv_has_one_line_per_pair_of_searches(project):
    """Three searches give three lines, with the reason where there is no correlation."""
    other = [*NAMES[:2], "t3-s1-a"]
    lines = lines_of(finished(project, (NAMES, RISING), (NAMES, FALLING), (other, RISING)), FIGURE)

    assert [x["said"] for x in lines] == ["", OTHER_SPACE, OTHER_SPACE]
    assert float(lines[0]["correlation"]) == pytest.approx(-1)
