"""Notes beside the numbers of a table, as texts for any kind of page."""

from collections.abc import Sequence

from kdbench.exhibits.tables import Column, Table
from kdbench.plan.graph import Graph
from kdbench.report.presentation import PLUS_MINUS, source_marks
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.cells import Result, epoch_of, head
from kdbench.report.readings.provenance import remarks
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.verdict import Verdict
from kdbench.report.stand_ins import stand_in_notes
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import StudentRun, TaughtRun
from kdbench.store.teacher_runs import ImportedTeacher

READING = "‡"
SPREAD = "sample standard deviation (number of runs)"
MISSED = "\N{PILCROW SIGN}"
UNLIKE = "\N{LOZENGE}"
AT_BEST = (
    "Teachers are taken at the epoch that was best on the test set, as in the field's code. So "
    "test labels choose this epoch and influence searches and students through it. Apart from "
    "this, no search can reach a test image or label. `teacher_epoch: last` in a scale's settings "
    "in params.yaml takes the last epoch."
)
VARIANCES = (
    "The paper prints variances of five runs; they are shown as their square roots beside our "
    "sample standard deviations."
)
LARGER = f"{MISSED} Larger than it should be: the search ended before its budget was met."


def table_notes(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> list[str]:
    """The table's own notes, stand-ins, readings, sources, what is left out, the runs' remarks."""
    planned = [c.evaluation for c in graph.cells[table.id] if c.evaluation]
    return [
        *table.notes,
        *stand_in_notes(graph, table),
        *_variances(table, requested_only(cells)),
        *notes_of(graph, requested_only(cells)),
        *_trust(requested_only(cells)),
        *_left_out(graph, cells),
        *(f"Diverged: {run}." for run in records.diverged(planned)),
        *(f"Not used: {record}." for record in records.altered(_behind(planned))),
        *records.stale(planned),
        *remarks(records.behind(planned)),
    ]


def legend(graph: Graph, table: Table, spread: str = SPREAD) -> str:
    """How to read the table's numbers, whose `spread` follows the mean, and its verdicts."""
    better = "higher" if table.metric.higher_is_better else "lower"
    epoch = {"best": "best epoch on the test set", "last": "last epoch"}[epoch_of(table)]
    who = "the authors report" if table.published else "the protocol reports"
    why = "on training images that are held out" if table.tuning_holdout else f"which is what {who}"
    label = table.metric.label
    label = label.capitalize() if label.islower() else label  # not mIoU
    text = (
        f"{label} in {table.metric.unit}, {better} is better; "
        f"mean {PLUS_MINUS} {spread} at the {epoch}, {why}."
    )
    if not comparable(graph):
        return text
    deviation = "" if graph.scale.precision == "float32" else f" Ours in {graph.scale.precision}."
    return (
        f"{text} Verdict: {Verdict.REPRODUCED.value} if the 95 % Student-t interval of the gap "
        f"(ours minus published, in brackets) is within {PLUS_MINUS}{table.tolerance:g}, "
        f"{Verdict.HIGHER.value} or {Verdict.LOWER.value} if it is wholly outside, "
        f"otherwise {Verdict.UNDECIDED.value}; a single run decides nothing. The interval is "
        f"Welch's if a spread is published with its number of runs; otherwise the published "
        f'number counts as exact. After the gap, "from" gives the smallest gap that these runs '
        f"would call a difference.{deviation}"
    )


def notes_of(graph: Graph, cells: Sequence[Result]) -> list[str]:
    """What our readings are, and what marks of ours mean."""
    readings = our_readings(graph, cells)
    texts = {label: text.removeprefix("our reading: ") for label, text in readings.items()}
    ours = [f"{READING} {label}, our reading: {text}." for label, text in texts.items()]
    larger = [LARGER] if any(result.missed for result in cells) else []
    return [*ours, *larger, *_unlike(cells), *_teachers(cells)]


def requested_only(cells: Sequence[Result]) -> list[Result]:
    """Without rows and columns that params.yaml leaves out."""
    columns = {r.cell.column for r in cells if r.cell.evaluation}
    rows = {r.cell.row for r in cells if r.state is not CellState.LEFT_OUT}
    return [r for r in cells if r.cell.column in columns and r.cell.row in rows]


def _left_out(graph: Graph, cells: Sequence[Result]) -> list[str]:
    """A sentence that names these rows and columns, if there are any."""
    places = [result.cell for result in requested_only(cells)]
    shown_columns, shown_rows = {cell.column for cell in places}, {cell.row for cell in places}
    columns = (_place(graph, r.cell.column) for r in cells if r.cell.column not in shown_columns)
    rows = (r.cell.row.label for r in cells if r.cell.row not in shown_rows)
    names = [*dict.fromkeys(columns), *dict.fromkeys(rows)]
    return [f"Left out by params.yaml: {', '.join(names)}."] if names else []


def our_readings(graph: Graph, cells: Sequence[Result]) -> dict[str, str]:
    """Methods whose source is not public or leaves much open, and what our reading is."""
    runs = [result.cell.evaluation.first for result in cells if result.cell.evaluation]
    students = [run for run in runs if isinstance(run, StudentRun)]
    names = {method.name for run in students for method in run.method.losses}
    methods = [graph.components.get("method", name, where="exhibits") for name in sorted(names)]
    marked = [method for method in methods if method.declaration.reading]
    return {method.label: method.declaration.fidelity for method in marked}


def _place(graph: Graph, column: Column) -> str:
    """A column's head in a sentence, where a break of its line would be seen as `<br>`."""
    return head(graph, column).replace("<br>", " ")


def _variances(table: Table, cells: Sequence[Result]) -> list[str]:
    """What was done to printed spreads, where the table has any."""
    spreads = any(result.published and result.published.spread is not None for result in cells)
    return [VARIANCES] if table.spread_is_variance and spreads else []


def _teachers(cells: Sequence[Result]) -> list[str]:
    """Where their epoch is chosen on test images, readers must know."""
    runs = [spec for r in cells if r.cell.evaluation for spec in r.cell.evaluation.with_upstream()]
    taught = [run for run in runs if isinstance(run, TaughtRun) and run.teacher_epoch == "best"]
    chosen = any(not isinstance(t, ImportedTeacher) for run in taught for t in run.teachers)
    return [AT_BEST] if chosen else []


def _unlike(cells: Sequence[Result]) -> list[str]:
    """Explains the mark of cells whose runs differ in device, version or committed code."""
    names = dict.fromkeys(name for result in cells for name in result.unlike)
    return [f"{UNLIKE} The runs of one cell: {', '.join(names)}; see `cells.csv`."] if names else []


def _trust(cells: Sequence[Result]) -> list[str]:
    """Where published numbers were read that were not read in the paper, a line per source."""
    marks = source_marks(result.published for result in cells)
    return [f"{mark} Source: {source}." for source, mark in marks.items()]


def _behind(targets: Sequence[RunSpec]) -> list[RunSpec]:
    """The targets and all that they depend on, each once."""
    return list({s.digest: s for target in targets for s in target.with_upstream()}.values())
