"""A table as Markdown: a block of two or three lines per method, one column per pair."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import in_words, row_comparisons
from kdbench.report.markdown import bullets, paragraphs, pipe
from kdbench.report.presentation import MARK, PAPER, PLUS_MINUS, TextTable, number, printed, verdict
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.cells import Result, Size, epoch_of, head, size_of
from kdbench.report.readings.provenance import made_with, remarks
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.verdict import Verdict
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import StudentRun, TaughtRun

READING = "‡"
MISSED = "\N{PILCROW SIGN}"
AT_BEST = (
    "Teachers are taken at the epoch that was best on the test set, as the field's code does: test "
    "labels choose it, and other test labels would change searches and students by way of it. "
    "Beside that no search has a test image or label within reach. `teacher_epoch: last` among a "
    "scale's settings in params.yaml takes the last epoch."
)
COMPARED = (
    "In brackets half of the interval of the difference over the students' seeds (Welch's t; "
    "{count} intervals that hold at 95 % together, by Bonferroni). A row's runs have their teacher "
    "and, where there is one, their search in common, and all rows the training images: nothing "
    "here says what others would give."
)
TOO_WIDE = "their runs decide no gap as small as the tolerance, not even 0"
LARGER = f"{MISSED} Larger than it should be: the search ended before its budget was met."


def table_markdown(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """Legend, table, last-epoch table, notes and footer; the caller sets banner and title."""
    requested = _requested_only(cells)
    if not requested:
        return f"*{CellState.LEFT_OUT.value} by params.yaml*\n".capitalize()
    planned = [c.evaluation for c in graph.cells[table.id] if c.evaluation]
    runs = records.behind(planned)
    notes = [
        *table.notes,
        *_notes(graph, requested),
        *_left_out(graph, cells),
        *(f"Diverged: {run}." for run in records.diverged(planned)),
        *(f"Not used: {record}." for record in records.altered(_behind(planned))),
        *remarks(runs),
    ]
    parts = [
        _legend(graph, table),
        _main_table(graph, requested),
        _verdicts(graph, requested),
        _last_table(graph, table, requested),
        _comparisons(graph, table, requested, records),
        _sizes(graph, table, requested, records),
        bullets(notes),
        f"*{made_with(runs, 'table')}*",
    ]
    return paragraphs(parts) + "\n"


def _behind(targets: Sequence[RunSpec]) -> list[RunSpec]:
    """The targets and all that they depend on, each once."""
    return list({s.digest: s for target in targets for s in target.with_upstream()}.values())


def _main_table(graph: Graph, cells: Sequence[Result]) -> str:
    lines: list[list[str]] = []
    if not any(result.published for result in cells):  # a table of our own
        lines = [[f"**{label}**", *map(_ours, row)] for label, row in _rows(graph, cells)]
        return pipe(TextTable(["", *_heads(graph, cells)], lines))
    for label, row in _rows(graph, cells):
        lines.append(
            [f"**{label}**", "ours", *(f"**{_ours(r)}**" if r.ours else _ours(r) for r in row)]
        )
        lines.append(["", "published", *(printed(result) for result in row)])
        if comparable(graph) and any(result.verdict for result in row):
            lines.append(["", "verdict", *(verdict(result) for result in row)])
    return pipe(TextTable(["", "", *_heads(graph, cells)], lines))


def _verdicts(graph: Graph, cells: Sequence[Result]) -> str:
    counts = Counter(r.verdict for r in cells if r.verdict)
    if not counts or not comparable(graph):
        return ""
    listed = ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])
    wide = sum(r.against is not None and r.against.too_wide for r in cells)
    could_not = f" {wide} could not have been reproduced: {TOO_WIDE}." if wide else ""
    return f"**Verdicts of {counts.total()} compared cells: {listed}.**{could_not}"


def _last_table(graph: Graph, table: Table, cells: Sequence[Result]) -> str:
    if epoch_of(table) == "last" or not any(result.last for result in cells):
        return ""
    lines = [
        [label, *(number(result.last, result.state) for result in row)]
        for label, row in _rows(graph, cells)
        if any(result.last for result in row)
    ]
    title = "The same runs at their last epoch, which no look at the test set chooses:"
    return f"{title}\n\n{pipe(TextTable(['', *_heads(graph, cells)], lines))}"


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
    return number(result.ours, result.state) + (f" {MISSED}" if result.missed else "")


def _legend(graph: Graph, table: Table) -> str:
    better = "higher" if table.metric.higher_is_better else "lower"
    epoch = {"best": "best epoch on the test set", "last": "last epoch"}[epoch_of(table)]
    who = "the authors report" if table.published else "the protocol reports"
    why = "on training images that are held out" if table.tuning_holdout else f"which is what {who}"
    text = (
        f"{table.metric.label.capitalize()} in {table.metric.unit}, {better} is better; "
        f"mean {PLUS_MINUS} sample standard deviation (number of runs) at the {epoch}, {why}."
    )
    if not comparable(graph):
        return text
    deviation = "" if graph.scale.precision == "float32" else f" Ours in {graph.scale.precision}."
    return (
        f"{text} Verdict: {Verdict.REPRODUCED.value} where the 95 % Student-t interval of the gap "
        f"(ours minus published, in brackets) lies within {PLUS_MINUS}{table.tolerance:g}, "
        f"{Verdict.HIGHER.value} or {Verdict.LOWER.value} where it lies wholly outside, "
        f"otherwise {Verdict.UNDECIDED.value}; one run alone decides nothing. The interval is "
        f"Welch's where a spread is published with its number of runs; otherwise the published "
        f"number is taken as exact. After the gap stands from where on these runs would call one "
        f"a difference.{deviation}"
    )


def _requested_only(cells: Sequence[Result]) -> list[Result]:
    """Without rows and columns that params.yaml leaves out."""
    columns = {r.cell.column for r in cells if r.cell.evaluation}
    rows = {r.cell.row for r in cells if r.state is not CellState.LEFT_OUT}
    return [r for r in cells if r.cell.column in columns and r.cell.row in rows]


def _left_out(graph: Graph, cells: Sequence[Result]) -> list[str]:
    """A sentence that names these rows and columns, if there are any."""
    places = [result.cell for result in _requested_only(cells)]
    shown_columns, shown_rows = {cell.column for cell in places}, {cell.row for cell in places}
    columns = (head(graph, r.cell.column) for r in cells if r.cell.column not in shown_columns)
    rows = (r.cell.row.label for r in cells if r.cell.row not in shown_rows)
    names = [*dict.fromkeys(columns), *dict.fromkeys(rows)]
    return [f"Left out by params.yaml: {', '.join(names)}."] if names else []


def _notes(graph: Graph, cells: Sequence[Result]) -> list[str]:
    readings = _readings(graph, cells)
    texts = {label: text.removeprefix("our reading: ") for label, text in readings.items()}
    ours = [f"{READING} {label}, our reading: {text}." for label, text in texts.items()]
    larger = [LARGER] if any(result.missed for result in cells) else []
    return [*ours, *larger, *_teachers(cells), *_trust(graph, cells)]


def _teachers(cells: Sequence[Result]) -> list[str]:
    """Where their epoch is chosen on test images, readers must know."""
    runs = [spec for r in cells if r.cell.evaluation for spec in r.cell.evaluation.with_upstream()]
    chosen = any(isinstance(run, TaughtRun) and run.teacher_epoch == "best" for run in runs)
    return [AT_BEST] if chosen else []


def _trust(graph: Graph, cells: Sequence[Result]) -> list[str]:
    def where(result: Result) -> str:
        return f"{result.cell.row.label}, {head(graph, result.cell.column)}"

    marked = [r for r in cells if r.published and r.published.source != PAPER]
    by_source: dict[str, list[str]] = {}
    for result in marked:
        assert result.published is not None
        by_source.setdefault(result.published.source, []).append(where(result))
    return [f"{MARK} Source: {source} ({'; '.join(cells)})." for source, cells in by_source.items()]


def _rows(graph: Graph, cells: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    by_row: Callable[[Result], str] = lambda result: result.cell.row.label  # noqa: E731
    rows = [(label, list(group)) for label, group in groupby(cells, by_row)]
    return [(f"{label} {READING}" if _readings(graph, row) else label, row) for label, row in rows]


def _readings(graph: Graph, cells: Sequence[Result]) -> dict[str, str]:
    """Methods whose source is not public or leaves much open, and what our reading is."""
    runs = [result.cell.evaluation.first for result in cells if result.cell.evaluation]
    students = [run for run in runs if isinstance(run, StudentRun)]
    names = {method.name for run in students for method in run.method.losses}
    methods = [graph.components.get("method", name, where="exhibits") for name in sorted(names)]
    marked = [method for method in methods if method.declaration.reading]
    return {method.label: method.declaration.fidelity for method in marked}


def _heads(graph: Graph, cells: Sequence[Result]) -> list[str]:
    columns = dict.fromkeys(result.cell.column for result in cells)
    return [head(graph, column, "<br>→ ") for column in columns]
