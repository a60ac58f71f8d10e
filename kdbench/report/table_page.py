"""A table as Markdown: a block of two to four lines per method, one column per pair."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from kdbench.exhibits.tables import Row, Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import in_words, row_comparisons
from kdbench.report.markdown import bullets, paragraphs, pipe
from kdbench.report.notes import (
    MISSED,
    READING,
    UNLIKE,
    legend,
    our_readings,
    requested_only,
    table_notes,
)
from kdbench.report.presentation import TextTable, number, printed, source_marks, verdict
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.cells import Result, Size, epoch_of, head, size_of
from kdbench.report.readings.provenance import made_with
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.verdict import Verdict

COMPARED = (
    "In brackets half of the interval of the difference over the students' seeds (Welch's t; "
    "{count} intervals that hold at 95 % together, by Bonferroni). A row's runs have their teacher "
    "and, where there is one, their search in common, and all rows the training images: nothing "
    "here says what others would give."
)
TOO_WIDE = "their runs decide no gap as small as the tolerance, not even 0"


def table_markdown(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """Legend, table, notes and footer; the caller sets banner and title."""
    requested = requested_only(cells)
    if not requested:
        return f"*{CellState.LEFT_OUT.value} by params.yaml*\n".capitalize()
    planned = [c.evaluation for c in graph.cells[table.id] if c.evaluation]
    parts = [
        legend(graph, table),
        _main_table(graph, table, requested),
        _verdicts(graph, requested),
        _comparisons(graph, table, requested, records),
        _sizes(graph, table, requested, records),
        bullets(table_notes(graph, table, cells, records)),
        f"*{made_with(records.behind(planned), 'table')}*",
    ]
    return paragraphs(parts) + "\n"


def _main_table(graph: Graph, table: Table, cells: Sequence[Result]) -> str:
    """Rows that have a number; the others are folded below, where there are both."""
    rows = _rows(graph, cells)
    shown = [row for row in rows if any(result.ours for result in row[1])]
    folded = [row for row in rows if row not in shown]
    if not shown or not folded:
        return _block(graph, table, cells, rows)
    names = ", ".join(label for label, _ in folded)
    below = _block(graph, table, cells, folded)
    summary = f"<summary>{len(folded)} without a number yet: {names}</summary>"
    details = f"<details>{summary}\n\n{below}\n\n</details>"
    return f"{_block(graph, table, cells, shown)}\n\n{details}"


def _block(
    graph: Graph,
    table: Table,
    cells: Sequence[Result],
    rows: Sequence[tuple[str, Sequence[Result]]],
) -> str:
    """Per row ours, the last epoch where another is reported, published, and the verdict."""
    lines: list[list[str]] = []
    marks = source_marks(result.published for result in cells)
    own = not any(result.published for result in cells)  # a table of our own
    for label, row in rows:
        numbers = list(map(_ours, row)) if own else [_bold(result) for result in row]
        lines.append([f"**{label}**", *([] if own else ["ours"]), *numbers])
        if epoch_of(table) != "last" and any(result.last for result in row):
            last = [number(result.last, result.state) if result.last else "" for result in row]
            lines.append(["last epoch", *last] if own else ["", "last epoch", *last])
        if not own:
            lines.append(["", "published", *(printed(result, marks) for result in row)])
        if not own and comparable(graph) and any(result.verdict for result in row):
            lines.append(["", "verdict", *(verdict(result) for result in row)])
    return pipe(TextTable(["", *([] if own else [""]), *_heads(graph, cells)], lines))


def _bold(result: Result) -> str:
    return f"**{_ours(result)}**" if result.ours else _ours(result)


def _verdicts(graph: Graph, cells: Sequence[Result]) -> str:
    counts = Counter(r.verdict for r in cells if r.verdict)
    if not counts or not comparable(graph):
        return ""
    listed = ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])
    wide = sum(r.against is not None and r.against.too_wide for r in cells)
    could_not = f" {wide} could not have been reproduced: {TOO_WIDE}." if wide else ""
    return f"**Verdicts of {counts.total()} compared cells: {listed}.**{could_not}"


def _comparisons(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    comparisons = row_comparisons(graph, table, cells, records)
    if not comparisons:
        return ""
    tries = len(comparisons)
    unit = "points" if table.metric.unit == "%" else table.metric.unit
    heading = (
        f"**What these runs show, in {unit} above 0 where the first is better, "
        f"at the {epoch_of(table)} epoch:**"
    )
    lines = [f"{one.name}: {in_words(one, tries)}." for one in comparisons]
    return f"{heading}\n\n{bullets(lines)}\n\n{COMPARED.format(count=tries)}"


def _sizes(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """Parameters and multiply-adds of every measured network; "" where none is asked for."""
    if not table.sizes or not any(size_of(result, records) for result in cells):
        return ""
    lines = [
        [label, *(_size(size_of(result, records)) for result in row)]
        for label, row in _rows(graph, cells)
    ]
    title = "Parameters and multiply-adds (one image, forwards) of the measured networks:"
    return f"{title}\n\n{pipe(TextTable(['', *_heads(graph, cells)], lines))}"


def _size(size: Size | None) -> str:
    if size is None:
        return ""
    return f"{size.parameters / 1e6:.3g} M, {size.multiply_adds / 1e6:.3g} M"


def _ours(result: Result) -> str:
    return number(result.ours, result.state) + _marks(result)


def _marks(result: Result) -> str:
    """Marks of a network that is larger than it should be, and of runs that are not alike."""
    marks = {MISSED: result.missed, UNLIKE: bool(result.ours and result.unlike)}
    return "".join(f" {mark}" for mark, holds in marks.items() if holds)


def _rows(graph: Graph, cells: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    by_row: Callable[[Result], Row] = lambda result: result.cell.row  # noqa: E731
    rows = [(row.label, list(group)) for row, group in groupby(cells, by_row)]
    marked = {label for label, row in rows if our_readings(graph, row)}
    return [(f"{label} {READING}" if label in marked else label, row) for label, row in rows]


def _heads(graph: Graph, cells: Sequence[Result]) -> list[str]:
    columns = dict.fromkeys(result.cell.column for result in cells)
    return [head(graph, column, "<br>→ ") for column in columns]
