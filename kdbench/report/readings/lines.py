"""One flat line per cell of every table: all that any page, CSV or LaTeX table shows of it."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kdbench.exhibits.published import Published
from kdbench.exhibits.tables import Metric, Table
from kdbench.plan.graph import Graph
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.cells import Result, epoch_of, head, labels, results, values
from kdbench.report.readings.records import CellState, Record, Records
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.report.readings.verdict import Gap, Verdict, compare
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun
from kdbench.store.teacher_runs import ImportedTeacher

if TYPE_CHECKING:
    import pandas as pd

RULES = {"best": "best epoch on the test set", "last": "last epoch", "selected": "on validation"}
"""Which epoch a number is of, by its key in records."""

ALL = "reproduce_all"
"""Snakemake's rule that makes every exhibit."""

MISSED = "over its budget"


@dataclass(frozen=True)
class Measured:
    """A cell's runs at one epoch rule, beside the printed number.

    Attributes:
        values: one per run, in the metric's unit.
        against: ours minus published, whether or not the two may be compared; None without either.
        verdict: None without a printed number; "not comparable" at any rule but the protocol's.
    """

    values: tuple[float, ...]
    against: Gap | None
    verdict: Verdict | None

    @cached_property
    def estimate(self) -> Estimate:
        """Over the runs."""
        return estimate(self.values)


@dataclass(frozen=True)
class Line:
    """One cell of one table.

    Attributes:
        place: its row's and its column's number in the table; `head` is what stands over it.
        measured: by epoch rule, those that every run of the cell has; none unless it is done.
        reported: the rule of the table's protocol.
        result: the same cell as judged at that rule.
        marks: what a reader must know before using the number.
        runs: the measured runs, planned or finished, with their records where there are any.
    """

    table: Table
    place: tuple[int, int]
    head: str
    teacher: str
    student: str
    dataset: str
    result: Result
    measured: Mapping[str, Measured]
    reported: str
    marks: tuple[str, ...]
    runs: tuple[tuple[RunSpec, Record | None], ...]

    @property
    def row(self) -> str:
        """The row's label."""
        return self.result.cell.row.label

    @property
    def evaluation(self) -> EvaluationRun | None:
        """The run that measures the cell; None where none is planned."""
        return self.result.cell.evaluation

    @property
    def digest(self) -> str:
        """Of the evaluation; "" where none is planned."""
        return self.evaluation.digest if self.evaluation else ""

    @property
    def state(self) -> CellState:
        """Whether the cell has a number, or why not."""
        return self.result.state

    @property
    def published(self) -> Published | None:
        """The printed number."""
        return self.result.published

    @property
    def metric(self) -> Metric:
        """The metric of the cell."""
        return self.table.metric

    @property
    def paper(self) -> str:
        """The first part of the table's id."""
        return self.table.id.partition("/")[0]

    @property
    def now(self) -> Measured | None:
        """At the rule of the protocol."""
        return self.measured.get(self.reported)

    @property
    def key(self) -> str:
        """Names the cell on the page of its table."""
        return "r{}c{}".format(*self.place)


def read_lines(graph: Graph, table: Table, records: Records) -> list[Line]:
    """Every cell of a table, in reading order.

    Raises:
        DamagedData: a record lacks what the table shows.
    """
    return list(_lines(graph, table, records))


def _lines(graph: Graph, table: Table, records: Records) -> Iterator[Line]:
    for number, result in enumerate(results(graph, table, records)):
        cell = result.cell
        teacher, student = labels(graph, cell.column.pair)
        evaluation = cell.evaluation
        if evaluation and evaluation.structure:
            student = f"found in {evaluation.structure.student.label}"
        runs = tuple((run, records.get(run)) for run in evaluation.runs) if evaluation else ()
        yield Line(
            table,
            divmod(number, len(table.all_columns)),
            head(graph, cell.column),
            teacher,
            student,
            cell.column.dataset or table.dataset,
            result,
            _measured(graph, table, result, records),
            epoch_of(table),
            (*([MISSED] if result.missed else []), *result.unlike),
            runs,
        )


def _measured(
    graph: Graph, table: Table, result: Result, records: Records
) -> Mapping[str, Measured]:
    record = records.get(result.cell.evaluation) if result.cell.evaluation else None
    if record is None:
        return {}
    rules = ("last",) if table.tuning_holdout else tuple(RULES)
    readings = {rule: _values(record, rule, table.metric) for rule in rules}
    return {
        rule: _beside(graph, table, result, rule, numbers)
        for rule, numbers in readings.items()
        if numbers
    }


def _values(record: Record, rule: str, metric: Metric) -> list[float]:
    """Of every run; none where a run was not measured at that epoch."""
    runs = record.items("metrics", "runs")
    if not all(isinstance(run, Mapping) and run.get(rule) for run in runs):
        return []
    return values(record, rule, metric)


def _beside(
    graph: Graph, table: Table, result: Result, rule: str, numbers: Sequence[float]
) -> Measured:
    own = rule == epoch_of(table)
    if own or result.published is None:
        return Measured(tuple(numbers), result.against, result.verdict)
    fair = result.published.comparable and comparable(graph, result.cell.evaluation)
    against = compare(result.published, numbers, table.tolerance) if fair else None
    return Measured(tuple(numbers), against, Verdict.NOT_COMPARABLE)


def all_lines(graph: Graph, records: Records) -> list[Line]:
    """Every cell of every table of the report.

    Raises:
        DamagedData: a record lacks what a table shows.
    """
    return [line for table in graph.tables() for line in read_lines(graph, table, records)]


def command_of(graph: Graph, records: Records, target: str, **more: Any) -> str:
    """The command that makes a file with all that it needs, under today's params.yaml.

    Args:
        graph: the plan.
        records: say in which folder the project lies.
        target: the file, relative to that folder; or a rule.
        more: keys of params.yaml that shall have these values.
    """
    changed = {**records.changed(graph.params), **more}
    words = [f"{key}={json.dumps(value)}" for key, value in changed.items() if key != "scale"]
    command = f"snakemake --cores all {shlex.quote(target)} --config scale={graph.scale.name}"
    return " ".join([command, *(shlex.quote(word) for word in words)])


def redo_of(
    graph: Graph, records: Records, trainings: Sequence[RunSpec], evaluation: RunSpec
) -> str:
    """The command that makes a cell's finished trainings again, and then its evaluation."""
    runs = [run for run in trainings if not isinstance(run, ImportedTeacher)]
    names = [run.digest for run in [*runs, evaluation]]
    changed = {k: v for k, v in records.changed(graph.params).items() if k != "scale"}
    command = shlex.join(["kdbench", "redo", *names, "--scale", graph.scale.name])
    return f"{command} --override {shlex.quote(json.dumps(changed))}" if changed else command


def params_of(line: Line, graph: Graph) -> str:
    """The lines of params.yaml that keep this cell alone."""
    lines = [f"scale: {graph.scale.name}", f"exhibits: [{line.table.id}]"]
    lines.append(f'pairs: ["{line.result.cell.column.pair.key}"]')
    first = line.evaluation.first if line.evaluation else None
    if isinstance(first, StudentRun):
        lines.append(f"methods_only: [{first.method.name}]")
    if graph.params.plugins:
        lines.append(f"plugins: {json.dumps(list(graph.params.plugins))}")
    return "\n".join(lines)


def frame(lines: Sequence[Line]) -> "pd.DataFrame":
    """Long form, one line per cell; unknown values are empty."""
    import pandas as pd

    whole = {"n": "Int64", "published_n": "Int64"}
    return pd.DataFrame([_flat(line) for line in lines]).astype(whole)


def _flat(line: Line) -> dict[str, Any]:
    result, ours, printed = line.result, line.result.ours, line.published
    return {
        "exhibit": line.table.id,
        "title": line.table.title,
        "row": line.row,
        "column": line.head,
        "row_number": line.place[0] + 1,
        "column_number": line.place[1] + 1,
        "dataset": line.dataset,
        "teacher": line.teacher,
        "student": line.student,
        "metric": line.metric.printed or line.metric.key,
        "unit": line.metric.unit,
        "state": line.state.value,
        "ours_mean": ours.mean if ours else None,
        "ours_std": ours.std if ours else None,
        "ours_half": ours.half if ours else None,
        "n": ours.n if ours else None,
        "epoch": line.reported,
        **{f"ours_{rule}_mean": _mean(line, rule) for rule in RULES},
        "values": " ".join(f"{value:.6g}" for value in line.now.values) if line.now else None,
        "published": printed.value if printed else None,
        "published_spread": printed.spread if printed else None,
        "published_n": printed.runs or None if printed else None,
        "source": printed.source if printed else None,
        "gap": result.gap,
        "gap_half": result.against.half if result.against else None,
        "differs_from": result.against.differs_from if result.against else None,
        "verdict": result.verdict.value if result.verdict else None,
        "marks": "; ".join(line.marks) or None,
        "seeds": _joined(_provenance(line, "seed")),
        "devices": _joined(_provenance(line, "device")),
        "commits": _joined(_provenance(line, "commit")),
        "digest": line.digest or None,
        "record": result.record,
    }


def _mean(line: Line, rule: str) -> float | None:
    measured = line.measured.get(rule)
    return measured.estimate.mean if measured else None


def _provenance(line: Line, key: str) -> list[Any]:
    found = [record.content.get("provenance", {}).get(key) for _, record in line.runs if record]
    return sorted({value for value in found if value is not None})


def _joined(parts: Iterable[Any]) -> str | None:
    return "; ".join(map(str, parts)) or None
