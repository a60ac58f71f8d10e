"""One row against another: what the runs of a table show, and what they leave open."""

import pytest
from finished import carve, evaluate, plan_of, rendered
from scipy.special import stdtrit

from kdbench.exhibits.tables import Table
from kdbench.papers import catalogue

CONTROLS, LOSSES = "ours/controls", "ours/losses"
HEADING = "What these runs show"


def controls(project, **accuracies):
    """The control table's text, with some rows finished."""
    plan = plan_of(project, CONTROLS)
    rows = {"dfa": "DFA", "last": "DFA's loss, last map of each stage"}
    for name, top1 in accuracies.items():
        (cell,) = [c for c in plan.graph.cells[CONTROLS] if c.row.label == rows[name]]
        evaluate(plan, cell.evaluation, top1)
    return rendered(plan, CONTROLS).body


def line(body):
    """The result of the only comparison."""
    (comparison,) = [
        x for x in body.splitlines() if x.startswith("- DFA against DFA's loss, last map")
    ]
    return comparison.partition(": ")[2]


@pytest.mark.parametrize(
    ("dfa", "last", "result"),
    [
        ([71.0, 72.0, 73.0], [70.0, 71.0, 72.0], "+1.00 (±2.27), not decided by these runs."),
        ([81.0, 82.0, 83.0], [70.0, 71.0, 72.0], "+11.00 (±2.27), better, by more than chance."),
        ([61.0, 62.0, 63.0], [70.0, 71.0, 72.0], "-9.00 (±2.27), worse, by more than chance."),
        (
            [71.0, 71.0],
            [70.0, 70.0],
            "+1.00, not decided: needs a spread for both.",
        ),
        (
            [71.0],
            [70.0, 71.0, 72.0],
            "+0.00, not decided: needs a spread for both.",
        ),
    ],
)
def test_a_difference_counts_where_its_interval_leaves_0_out(project, dfa, last, result):
    """Welch's interval of two means of three with deviation 1 is 2.776 sqrt(2/3) = 2.27 wide."""
    assert line(controls(project, dfa=dfa, last=last)) == result


def test_a_comparison_needs_both_rows(project):
    """One row of a comparison alone shows nothing."""
    assert HEADING not in controls(project, dfa=[71.0, 72.0])


def test_a_student_over_its_budget_wins_nothing(project):
    """Each comparison with a student over its budget is undecided and says so."""
    plan = plan_of(project, LOSSES)
    for cell in plan.graph.cells[LOSSES]:
        evaluate(plan, cell.evaluation, [80.0 + len(cell.row.label), 80.5 + len(cell.row.label)])
        carve(plan, cell.evaluation.structure, met=cell.row.label != "found by NP")

    comparisons = [x for x in rendered(plan, LOSSES).body.splitlines() if "against found by" in x]

    assert len(comparisons) == 6  # three comparisons in two columns
    # Of two values 0.5 apart on either side; six intervals that hold together (Bonferroni).
    half = stdtrit(2, 1 - 0.025 / 6) * (2 * 0.125 / 2) ** 0.5
    assert all(f"(±{half:.2f})" in x for x in comparisons)
    assert all(("larger than its budget" in x) == ("by NP (" in x) for x in comparisons)
    assert all("more than chance" in x for x in comparisons if "by KL (" in x)


def test_every_comparison_is_between_rows_of_its_table():
    """Tables declare comparisons, and every label in them is that of a row."""
    tables = [one for one in catalogue() if isinstance(one, Table)]
    wrong = [
        (table.id, label)
        for table in tables
        for label in (label for pair in table.comparisons for label in pair)
        if label not in [row.label for row in table.rows]
    ]

    assert any(table.comparisons for table in tables) and not wrong
