"""How alike searched processes are."""

import pytest
from finished import body_of, found_runs, lines_of, plan_of, search

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


def finished(project, *found):
    """The first searches of the figure, of (names, rows)."""
    plan = plan_of(project, FIGURE)
    for spec, (names, rows) in zip(plan.graph.drawn[FIGURE].values(), found, strict=False):
        search(plan, spec, names, rows, cost=COST)
    return plan


def courses(plan):
    """What the figure compares."""
    return [read_course(n, r) for n, (_, r) in found_runs(plan, FIGURE).items()]


def test_weights_are_interpolated_onto_one_axis_of_time(project):
    """From the first step to the last, whatever their number."""
    short = [[0.0, 0, 0], [1.0, 0, 0]]
    long = [[i / 4, 0, 0] for i in range(5)]
    one, other = courses(finished(project, (NAMES, short), (NAMES, long)))

    assert len(one.weights["t1-s1-a"]) == POINTS
    assert one.weights["t1-s1-a"] == pytest.approx([i / (POINTS - 1) for i in range(POINTS)])
    assert other.weights["t1-s1-a"] == pytest.approx(one.weights["t1-s1-a"])


def test_likeness_is_pearsons_over_all_pathways_and_times(project):
    """1 with itself, -1 with its mirror image, whatever the order of the pathways."""
    turned = [row[::-1] for row in RISING]
    plan = finished(project, (NAMES, RISING), (NAMES, FALLING), (NAMES[::-1], turned))
    one, mirror, same = courses(plan)

    assert likeness(one, mirror) == pytest.approx(-1)
    assert likeness(one, same) == pytest.approx(1)


def test_other_pathways_are_another_space(project):
    """And a process that never varies has no correlation."""
    other = [*NAMES[:2], "t3-s1-a"]
    flat = [[0.25] * 3] * 2
    one, two, three = courses(finished(project, (NAMES, RISING), (other, RISING), (NAMES, flat)))

    assert likeness(one, two) == OTHER_SPACE
    assert likeness(one, three) == NOT_DEFINED


def test_the_matrix_holds_numbers_or_says_why_not(project):
    """In every cell."""
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


def test_the_body_says_where_weight_was_and_is_and_what_it_cost(project):
    """Mean weights of both ends by teacher map, seconds, steps per second."""
    body = body_of(finished(project, (NAMES, RISING)), FIGURE)

    (line,) = (x for x in body.splitlines() if "wrn-40-2:wrn-16-2" in x)
    parts = [part.strip() for part in line.split("|")[1:-1]]
    assert parts[1:] == ["0.2000 → 0.2000", "0.2000 → 0.6000", "20", "0.50"]


def test_the_csv_has_a_line_a_pair(project):
    """Three searches make three pairs."""
    other = [*NAMES[:2], "t3-s1-a"]
    lines = lines_of(finished(project, (NAMES, RISING), (NAMES, FALLING), (other, RISING)), FIGURE)

    assert [x["said"] for x in lines] == ["", OTHER_SPACE, OTHER_SPACE]
    assert float(lines[0]["correlation"]) == pytest.approx(-1)
