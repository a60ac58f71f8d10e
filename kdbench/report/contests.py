"""What a table's runs show and do not: one row against another, in words."""

from collections.abc import Sequence

from kdbench.plan.exhibits import Table
from kdbench.plan.graph import Graph
from kdbench.report.outcomes import Comparison, State
from kdbench.report.read import Records
from kdbench.report.tables import Result, head, values

SAYS = {
    State.HOLDS: "better, by more than chance",
    State.FAILS: "worse, by more than chance",
    State.UNTESTED: "not decided by these seeds",
}
ALONE = "not decided: one run alone has no spread"
LARGER = "not decided: a student is larger than its budget"
MEANING = (
    "In brackets half of the 95 % interval of the difference (Welch's t) over the seeds of the "
    "students. They have teacher, search and training images in common, so nothing here says what "
    "others would give."
)


def contests_markdown(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """A line a contest and column of which both cells are done; "" where there is none."""
    by_place = {(cell.cell.row.label, cell.cell.column): cell for cell in cells}
    lines = []
    for ours, theirs in table.contests:
        for column in dict.fromkeys(cell.cell.column for cell in cells):
            pair = [by_place.get((label, column)) for label in (ours, theirs)]
            done = [cell for cell in pair if cell and cell.ours]
            if len(done) == 2:
                where = f" ({head(graph, column)})" if len(table.all_columns) > 1 else ""
                told = _told(table, done, records)
                lines.append(f"- {ours} against {theirs}{where}: {told}.")
    if not lines:
        return ""
    heading = f"What these runs show, in {_unit(table)}:"
    return "\n".join([f"**{heading}**", "", *lines, "", MEANING])


def _told(table: Table, pair: Sequence[Result], records: Records) -> str:
    first, second = (_values(table, cell, records) for cell in pair)
    higher = table.metric.higher_is_better
    unfair = LARGER if any(cell.missed for cell in pair) else ""
    comparison = Comparison("", first, second, higher=higher, unfair=unfair)
    lead, half = comparison.lead()
    spread = "" if half is None else f" (±{half:.2f})"
    said = unfair or (ALONE if half is None else SAYS[comparison.state()])
    return f"{lead:+.2f}{spread}, {said}"


def _values(table: Table, cell: Result, records: Records) -> list[float]:
    assert cell.cell.evaluation is not None
    record = records.get(cell.cell.evaluation)
    assert record is not None
    return values(record, "last" if table.held_out else table.recipe.reported, table.metric)


def _unit(table: Table) -> str:
    better = "above 0 is better"
    return f"{'points' if table.metric.unit == '%' else table.metric.unit} ({better})"
