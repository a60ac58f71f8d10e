"""The heat map of searched aggregation weights."""

import pytest
from finished import body_of, evaluate, finished_runs, lines_of, plan_of, search

from kdbench.errors import DamagedData
from kdbench.report.figures.heat_map import draw, spreads
from kdbench.report.readings.aggregation import read_aggregation

FIGURE = "dfa/weights"
NAMES = ["g1-b1", "g1-b2", "g2-b1", "g2-b2", "g2-b10"]
FIRST, LAST = [0.5, 0.5, 0.3, 0.3, 0.4], [0.9, 0.1, 0.2, 0.3, 0.5]


def finished(project, rows=None, **params):
    """The figure's plan with all searches finished, the first with `LAST` as its last row."""
    plan = plan_of(project, FIGURE, **params)
    for i, spec in enumerate(plan.graph.drawn[FIGURE].values()):
        shifted = [
            w + (0.1 * i if name == "g1-b1" else 0) for name, w in zip(NAMES, LAST, strict=True)
        ]
        search(plan, spec, NAMES, [FIRST, shifted])
    return plan


def read(plan):
    """What the figure draws."""
    return [read_aggregation(n, s, r) for n, (s, r) in finished_runs(plan, FIGURE).items()]


def test_the_last_row_is_drawn_by_group_and_block(project):
    """Rows are groups, columns blocks, the value that of the end of the search."""
    plan = finished(project)

    axes = draw(read(plan), "title", "").axes[0]
    (mesh,) = axes.collections
    values = mesh.get_array()

    assert values.shape == (2, 3)
    assert values.tolist() == [[0.9, 0.1, None], [0.2, 0.3, 0.5]]
    assert [t.get_text() for t in axes.texts] == ["0.90", "0.10", "0.20", "0.30", "0.50"]
    assert axes.yaxis_inverted()


def test_blocks_are_in_the_order_of_their_numbers(project):
    """Block 10 comes after block 2, whatever the record's order."""
    plan = plan_of(project, FIGURE)
    spec = plan.graph.drawn[FIGURE]["plain loss"]
    search(plan, spec, ["g1-b10", "g1-b2", "g1-b1"], [[0.1, 0.2, 0.7]])

    (only,) = read(plan)

    assert only.groups == {1: [0.7, 0.2, 0.1]}


def test_all_panels_share_one_scale(project):
    """Each search has a panel, labelled with its key and coloured from 0 to 1."""
    plan = finished(project)

    *panels, _ = draw(read(plan), "title", "").axes

    assert [axes.get_label() for axes in panels] == list(plan.graph.drawn[FIGURE])
    assert {axes.collections[0].get_clim() for axes in panels} == {(0.0, 1.0)}


def test_the_body_says_how_far_from_uniform(project):
    """The table shows the largest weight minus 1/n of each group."""
    lines = body_of(finished(project), FIGURE).splitlines()

    (first, second) = (line.split("|") for line in lines if "wrn-28-4:wrn-16-2 " in line)
    assert [first[-2].strip(), second[-2].strip()] == ["0.400", "0.167"]


def test_the_spread_is_between_searches_of_one_method_and_teacher(project):
    """Three searches of DFA differ by steps of 0.1 in one block; the plain loss stays apart."""
    body = body_of(finished(project), FIGURE)

    assert "between the 3 searches" in body and "group 1: 0.100, group 2: 0.000" in body
    assert body.count("Largest standard deviation") == 1


def test_a_spread_needs_two_searches_of_one_shape(project):
    """One search alone has none, nor have two whose groups differ."""
    plan = finished(project)
    one, *_ = read(plan)
    other_plan = plan_of(project, FIGURE)
    search(other_plan, other_plan.graph.drawn[FIGURE]["plain loss"], ["g1-b1"], [[1.0]])

    assert spreads([one]) is None
    (other,) = (aggregation for aggregation in read(other_plan) if aggregation.name == "plain loss")
    assert spreads([one, other]) is None


def test_the_csv_has_one_line_per_block(project):
    """Each line has the weight with all digits of the record."""
    lines = [x for x in lines_of(finished(project), FIGURE) if x["search"] == "plain loss"]

    assert [(x["group"], x["block"]) for x in lines] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
        ("2", "3"),
    ]
    assert float(lines[0]["weight"]) == 0.9 + 0.1 * 3


def test_a_name_of_no_block_is_refused(project):
    """The error names the key of the record, the name in it and the form of a block's name."""
    plan = plan_of(project, FIGURE)
    search(plan, plan.graph.drawn[FIGURE]["plain loss"], ["t1-s1-2conv"], [[1.0]])

    with pytest.raises(
        DamagedData, match=r"process\.pathways: found t1-s1-2conv, expected .*g1-b3"
    ):
        read(plan)


def test_a_record_without_a_process_is_refused(project):
    """An evaluation's record cannot be read as a search's."""
    plan = plan_of(project, FIGURE)
    evaluate(plan, plan.graph.drawn[FIGURE]["plain loss"], [70.0])

    with pytest.raises(DamagedData, match="process"):
        read(plan)
