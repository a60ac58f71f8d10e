"""A table as Markdown: a block of two or three lines a method, one column a pair."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from tabulate import tabulate

from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import in_words, row_comparisons
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.cells import Result, epoch_of, head
from kdbench.report.readings.provenance import footer, remarks
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.statistics import Estimate
from kdbench.report.readings.verdict import Verdict
from kdbench.store.student_runs import StudentRun, TaughtRun

MARK = "†"
READING = "‡"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
MINUS = "\N{MINUS SIGN}"
ORDINARY_SOURCE = "paper"
MISSED = "\N{PILCROW SIGN}"
AT_BEST = (
    "Teachers are used at the epoch that was best on the test set, as the field's code does; "
    "the searches themselves see training images only."
)
COMPARED = (
    "In brackets half of the interval of the difference over the students' seeds (Welch's t; "
    "{count} intervals that hold at 95 % together, by Bonferroni). A row's runs have their teacher "
    "and, where there is one, their search in common, and all rows the training images: nothing "
    "here says what others would give."
)
LARGER = f"{MISSED} Larger than it should be: the search ended before its budget was met."


def table_markdown(graph: Graph, table: Table, cells: Sequence[Result], records: Records) -> str:
    """Legend, table, last-epoch table, notes and footer; the caller sets banner and title."""
    kept = _kept(cells)
    if not kept:
        return f"*{CellState.LEFT_OUT.value} by params.yaml*\n".capitalize()
    planned = [c.evaluation for c in graph.cells[table.id] if c.evaluation]
    runs = records.behind(planned)
    parts = [
        _legend(graph, table),
        _main_table(graph, kept),
        _verdicts(graph, kept),
        _last_table(graph, table, kept),
        _comparisons(graph, table, kept, records),
        _bullets(
            [
                *table.notes,
                *_notes(graph, kept),
                *_left_out(graph, cells),
                *(f"Diverged: {said}." for said in records.diverged(planned)),
                *remarks(runs),
            ]
        ),
        footer(runs, "table"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(summary: Estimate | None, state: CellState) -> str:
    """Our number, `76.31 ± 0.12 (5)`, or why there is none."""
    if summary is None:
        return state.value
    spread = "" if summary.std is None else f" {PLUS_MINUS} {summary.std:.2f}"
    return f"{summary.mean:.2f}{spread} ({summary.n})"


def printed(result: Result) -> str:
    """The published number, `76.36 ± 0.07`, marked where the paper itself is not its source."""
    if result.published is None:
        return "not known"
    value, spread = result.published.value, result.published.spread
    shown = f"{value:.2f}" if spread is None else f"{value:.2f} {PLUS_MINUS} {spread:.2f}"
    return shown if result.published.source == ORDINARY_SOURCE else f"{shown} {MARK}"


def judged(result: Result) -> str:
    """The verdict with the gap, `reproduced (−0.05)`."""
    if result.verdict is None:
        return ""
    if result.gap is None:
        return result.verdict.value
    sign = MINUS if result.gap < 0 else "+"
    return f"{result.verdict.value} ({sign}{abs(result.gap):.2f})"


def _main_table(graph: Graph, cells: Sequence[Result]) -> str:
    lines: list[list[str]] = []
    if not any(result.published for result in cells):  # a table of our own
        lines = [[f"**{label}**", *map(_ours, row)] for label, row in _rows(graph, cells)]
        return _pipe(lines, ["", *_heads(graph, cells)])
    for label, row in _rows(graph, cells):
        lines.append(
            [f"**{label}**", "ours", *(f"**{_ours(r)}**" if r.ours else _ours(r) for r in row)]
        )
        lines.append(["", "published", *(printed(result) for result in row)])
        if comparable(graph) and any(result.verdict for result in row):
            lines.append(["", "verdict", *(judged(result) for result in row)])
    return _pipe(lines, ["", "", *_heads(graph, cells)])


def _verdicts(graph: Graph, cells: Sequence[Result]) -> str:
    found = Counter(r.verdict for r in cells if r.verdict)
    if not found or not comparable(graph):
        return ""
    counts = ", ".join(f"{found[v]} {v.value}" for v in Verdict if found[v])
    return f"**Verdicts of {found.total()} compared cells: {counts}.**"


def _last_table(graph: Graph, table: Table, cells: Sequence[Result]) -> str:
    if epoch_of(table) == "last" or not any(result.last for result in cells):
        return ""
    lines = [
        [label, *(number(result.last, result.state) for result in row)]
        for label, row in _rows(graph, cells)
        if any(result.last for result in row)
    ]
    title = "The same runs at their last epoch, which no look at the test set chooses:"
    return f"{title}\n\n{_pipe(lines, ['', *_heads(graph, cells)])}"


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
    return f"{heading}\n\n{_bullets(lines)}\n\n{COMPARED.format(count=tries)}"


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
        f"otherwise {Verdict.UNDECIDED.value}; one run alone decides nothing.{deviation}"
    )


def _kept(cells: Sequence[Result]) -> list[Result]:
    """Without rows and columns of which nothing is wanted."""
    columns = {r.cell.column for r in cells if r.cell.evaluation}
    rows = {r.cell.row for r in cells if r.state is not CellState.LEFT_OUT}
    return [r for r in cells if r.cell.column in columns and r.cell.row in rows]


def _left_out(graph: Graph, cells: Sequence[Result]) -> list[str]:
    kept = _kept(cells)
    there = {k.cell.column for k in kept}
    gone_columns = (head(graph, r.cell.column) for r in cells if r.cell.column not in there)
    columns = list(dict.fromkeys(gone_columns))
    kept_rows = {k.cell.row for k in kept}
    rows = dict.fromkeys(r.cell.row.label for r in cells if r.cell.row not in kept_rows)
    gone = ", ".join([*columns, *rows])
    return [f"Left out by params.yaml: {gone}."] if gone else []


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

    marked = [r for r in cells if r.published and r.published.source != ORDINARY_SOURCE]
    by_source: dict[str, list[str]] = {}
    for result in marked:
        assert result.published is not None
        by_source.setdefault(result.published.source, []).append(where(result))
    return [f"{MARK} Source: {source} ({'; '.join(p)})." for source, p in by_source.items()]


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
    said = {m.label: m.declaration.fidelity for m in methods}
    marked = {m.label for m in methods if m.declaration.reading}
    return {label: text for label, text in said.items() if label in marked}


def _heads(graph: Graph, cells: Sequence[Result]) -> list[str]:
    columns = dict.fromkeys(result.cell.column for result in cells)
    return [head(graph, column, "<br>→ ") for column in columns]


def _pipe(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    escaped = [[text.replace("|", r"\|") for text in line] for line in lines]
    return tabulate(escaped, headers=heads, tablefmt="github", disable_numparse=True)


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
