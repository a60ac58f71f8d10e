"""The channels that a search removed from every connection."""

import pytest
from finished import body_of, carve, dense, finished_runs, lines_of, plan_of

from kdbench.errors import DamagedData
from kdbench.report.figures.drop_figure import draw
from kdbench.report.readings.dropped import read_blocks

FIGURE = "sbs/figure5"
GONE = [(1, 2, 0), (2, 1, "in"), (2, 1, 0), (2, "end", 2), (3, "end", "in")]


def finished(project, **dense_options):
    """A plan with the search on CIFAR-10 finished."""
    plan = plan_of(project, FIGURE)
    connections = dense(gone=GONE, **dense_options)
    alone = {"share": 0.3, "connections": dense(gone=[(1, 1, "in"), (1, 0, 0), (1, 2, 0)])}
    spec = plan.graph.drawn[FIGURE]["CIFAR-10"]
    carve(plan, spec, connections=connections, penalty_alone=alone)
    return plan


def read(plan):
    """Blocks by data set."""
    return {n: read_blocks(r) for n, (_, r) in finished_runs(plan, FIGURE).items()}


def test_a_rate_is_what_was_removed_of_what_was_there(project):
    """A row per reading layer has a column for the block's input and each layer before."""
    blocks = read(finished(project))["CIFAR-10"]

    assert blocks[1].rates() == [[0.0], [0.0, 0.0], [0.0, 1.0, 0.0]]
    assert blocks[2].rates() == [[0.0], [1.0, 1.0], [0.0, 0.0, 0.0]]
    assert blocks[1].dropped() == pytest.approx(2 / 18)
    assert blocks[2].end == {-1: (4, 4), 0: (2, 2), 1: (2, 2), 2: (2, 0)}


def test_sources_are_in_the_order_of_their_numbers(project):
    """Layer 10 comes after layer 2, though a record sorts them by name."""
    plan = plan_of(project, FIGURE)
    connections = dense(layers=12, gone=[(1, 11, 2)])
    carve(plan, plan.graph.drawn[FIGURE]["CIFAR-10"], connections=connections)

    rates = read(plan)["CIFAR-10"][1].rates()

    assert [len(row) for row in rates] == list(range(1, 13))
    assert rates[11] == [0, 0, 0, 1, *[0] * 8]


def test_every_block_has_a_matrix_and_a_bar(project):
    """Both are labelled by data set and block; the last bar is the classifier's."""
    plan = finished(project)
    axes = [a for a in draw(read(plan), "title", "").axes if a.get_visible()]
    panels = {a.get_label(): a for a in axes}

    names = [f"CIFAR-10, block {i}" for i in (1, 2, 3)]
    assert set(panels) - {"<colorbar>"} == {*names, *(f"{name}, end" for name in names)}
    drawn = panels["CIFAR-10, block 2"].collections[0].get_array()
    assert drawn.tolist() == [[0.0, None, None], [1.0, 1.0, None], [0.0, 0.0, 0.0]]
    assert panels["CIFAR-10, block 3, end"].collections[0].get_array().tolist() == [[1, 0, 0, 0]]
    assert panels["CIFAR-10, block 3, end"].get_yticklabels()[0].get_text() == "classifier"
    assert panels["CIFAR-10, block 1, end"].get_yticklabels()[0].get_text() == "transition 1"


def test_a_connection_that_does_not_exist_is_blank(project):
    """Its cell is blank, in a colour that the scale does not have."""
    axes = draw(read(finished(project)), "title", "").axes[0]

    assert axes.collections[0].get_array().mask.tolist()[0] == [False, True, True]
    red, green, blue, _ = axes.get_facecolor()
    assert not red == green == blue


def test_the_body_counts_layers_that_are_gone(project):
    """The table counts layers that read nothing any more; a note says that the budget was met."""
    body = body_of(finished(project), FIGURE)

    lines = [line.split("|")[2:-1] for line in body.splitlines() if line.startswith("| CIFAR-10")]
    assert [[part.strip() for part in line] for line in lines] == [
        ["1", "0.111", "0.333", "0 of 3", "transition 1: 0.000"],
        ["2", "0.333", "0.000", "1 of 3", "transition 2: 0.200"],
        ["3", "0.000", "0.000", "0 of 3", "classifier: 0.400"],
    ]
    assert "89.5 M FLOPs are left; the budget was met." in body


def test_the_csv_has_one_line_per_connection(project):
    """Three blocks have 6 connections between layers and 4 to their ends each."""
    lines = lines_of(finished(project), FIGURE)

    assert len(lines) == 30
    (one,) = (x for x in lines if (x["block"], x["reader"], x["source"]) == ("1", "3", "1"))
    assert (one["before"], one["after"], float(one["drop_rate"])) == ("2", "0", 1.0)
    assert {x["reader"] for x in lines if x["block"] == "3"} == {"1", "2", "3", "classifier"}


def test_where_all_gates_pay_alike_the_penalty_alone_says_nothing(project):
    """Its column is empty."""
    plan = plan_of(project, FIGURE)
    carve(plan, plan.graph.drawn[FIGURE]["CIFAR-10"], penalty_alone=None)

    lines = [x.split("|") for x in body_of(plan, FIGURE).splitlines() if x.startswith("| CIFAR")]
    assert [line[4].strip() for line in lines] == ["", "", ""]


@pytest.mark.parametrize(
    ("reader", "makers", "message"),
    [
        ("trunk.stage1.norm", {"trunk.stem.blocks.0": [4, 5]}, "5 of 4"),
        ("trunk.stage1.norm", {"trunk.stem.blocks.0": [0, 0]}, "0 of 0"),
        ("trunk.stage1.norm", {"trunk.stem.blocks.0": [4]}, "found nothing"),
        ("trunk.stage4.norm", {}, "blocks that each have an end"),
    ],
)
def test_damaged_connections_are_refused(project, reader, makers, message):
    """The error says what the record holds or what its blocks lack."""
    plan = plan_of(project, FIGURE)
    connections = {**dense(), reader: makers}
    carve(plan, plan.graph.drawn[FIGURE]["CIFAR-10"], connections=connections)

    with pytest.raises(DamagedData, match=message):
        read(plan)
