"""What a table's runs show and do not: one row against another, in words."""

from collections.abc import Iterator, Sequence
from itertools import product

from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.outcomes import Comparison, State
from kdbench.report.readings.cells import Result, epoch_of, head, values
from kdbench.report.readings.records import Records

SAYS = {
    State.HOLDS: "better, by more than chance",
    State.FAILS: "worse, by more than chance",
    State.UNTESTED: "not decided by these runs",
}
NO_SPREAD = "not decided: without a spread of both there is no saying"
LARGER = "not decided: a student is larger than its budget"
MEANING = (
    "In brackets half of the interval of the difference over the students' seeds (Welch's t; "
    "{count} intervals that hold at 95 % together, by Bonferroni). A row's runs have their teacher "
    "and, where there is one, their search in common, and all rows the training images: nothing "
    "here says what others would give."
)


def contests_markdown(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """A line a contest and column of which both cells are done; "" where there is none."""
    if graph.scale.stand_in:
        return ""  # such runs say nothing about any row
    found = list(_contests(graph, table, cells, records))
    if not found:
        return ""
    lines = [f"- {one.name}: {_told(one, len(found))}." for one in found]
    heading = f"**What these runs show, in {_unit(table)}, at the {epoch_of(table)} epoch:**"
    return "\n".join([heading, "", *lines, "", MEANING.format(count=len(found))])


def _contests(
    graph: Graph, table: Table, cells: Sequence[Result], records: Records
) -> Iterator[Comparison]:
    by_place = {(cell.cell.row.label, cell.cell.column): cell for cell in cells}
    columns = dict.fromkeys(cell.cell.column for cell in cells)
    for labels, column in product(table.contests, columns):
        done = [by_place[label, column] for label in labels if (label, column) in by_place]
        if len(done) < 2 or not all(cell.ours for cell in done):
            continue
        place = head(graph, column).replace("<br>", " ")
        where = f" ({place})" if len(table.all_columns) > 1 else ""
        yield Comparison(
            f"{labels[0]} against {labels[1]}{where}",
            _values(table, done[0], records),
            _values(table, done[1], records),
            higher=table.metric.higher_is_better,
            unfair=LARGER if any(cell.missed for cell in done) else "",
        )


def _told(contest: Comparison, tries: int) -> str:
    lead, half = contest.lead(tries)
    spread = "" if half is None else f" (±{half:.2f})"
    said = contest.unfair or (NO_SPREAD if half is None else SAYS[contest.state(tries)])
    return f"{lead:+.2f}{spread}, {said}"


def _values(table: Table, cell: Result, records: Records) -> list[float]:
    assert cell.cell.evaluation is not None
    record = records.get(cell.cell.evaluation)
    assert record is not None
    return values(record, epoch_of(table), table.metric)


def _unit(table: Table) -> str:
    unit = "points" if table.metric.unit == "%" else table.metric.unit
    return f"{unit} above 0 where the first is better"
