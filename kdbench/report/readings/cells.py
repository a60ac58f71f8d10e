"""A table's cells, measured and published side by side."""

from dataclasses import dataclass, replace
from math import sqrt

from kdbench.exhibits.published import Published
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import Column, Metric, Row, Table
from kdbench.papers import published_numbers
from kdbench.plan.graph import Cell, Graph
from kdbench.report.readings.banner import comparable
from kdbench.report.readings.provenance import unlike
from kdbench.report.readings.records import CellState, Record, Records
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.report.readings.verdict import Gap, Verdict, compare


@dataclass(frozen=True)
class Result:
    """One cell of a table, ready to print.

    Attributes:
        ours: at the epoch that the recipe reports; None unless the cell is done.
        last: the same runs at their last epoch.
        published: the printed number, its spread a standard deviation; None where not known.
        verdict: None unless there are both numbers.
        against: ours minus published, with its interval, where the two may be compared.
        record: path of the evaluation's record; empty where none is planned.
        missed: the student is larger than it should be: its search ended over its budget.
        unlike: what its finished runs do not have in common though they should, see `provenance`.
    """

    cell: Cell
    state: CellState
    ours: Estimate | None
    last: Estimate | None
    published: Published | None
    verdict: Verdict | None
    record: str
    missed: bool = False
    against: Gap | None = None
    unlike: tuple[str, ...] = ()

    @property
    def gap(self) -> float | None:
        """Ours minus published, where the two may be compared."""
        return self.against.value if self.against else None


@dataclass(frozen=True)
class Size:
    """How large a measured network is; multiply-adds are those of one image, forwards."""

    parameters: int
    multiply_adds: int


def size_of(result: Result, records: Records) -> Size | None:
    """The size of a cell's network; None where it is not measured yet.

    Raises:
        DamagedData: its record does not say it.
    """
    evaluation = result.cell.evaluation
    record = records.get(evaluation) if evaluation else None
    if record is None:
        return None
    parameters, macs = (int(record.number("metrics", key)) for key in ("parameters", "macs"))
    return Size(parameters, macs)


def results(graph: Graph, table: Table, records: Records) -> list[Result]:
    """Every cell of a table, in reading order.

    Raises:
        DamagedData: an evaluation's record lacks the table's metric.
    """
    return [
        replace(_result(graph, table, cell, records), unlike=_unlike(cell, records))
        for cell in graph.cells[table.id]
    ]


def _unlike(cell: Cell, records: Records) -> tuple[str, ...]:
    runs = cell.evaluation.runs if cell.evaluation else ()
    return unlike(record for record in map(records.get, runs) if record)


def published(graph: Graph, table: Table, row: Row, column: Column) -> Published | None:
    """The printed number of one cell, in the metric's unit; variances become deviations."""
    if not table.published:
        return None
    teacher, student = labels(graph, column.pair)
    setting = column.setting or table.setting.format(teacher=teacher, student=student)
    metric = table.metric.printed or table.metric.key
    key = (table.exhibit, setting, row.published, metric)
    number = published_numbers(table.published).get(key)
    if number is None:
        return None
    times, spread = table.metric.times, number.spread
    if spread is not None:
        spread = times * (sqrt(spread) if table.spread_is_variance else spread)
    return replace(number, value=times * number.value, spread=spread)


def labels(graph: Graph, pair: Pair) -> tuple[str, str]:
    """Printed names of a pair's teacher, or of all its teachers, and of its student."""

    def label(network: str, seed: int = 0) -> str:
        name = graph.components.get("network", network, where="exhibits").label
        return f"{name} (seed {seed})" if seed else name

    further = (label(teacher.network, teacher.seed) for teacher in pair.further)
    return " + ".join([label(pair.teacher), *further]), label(pair.student)


def head(graph: Graph, column: Column, arrow: str = " → ") -> str:
    """The heading of a column."""
    return column.label or arrow.join(labels(graph, column.pair))


def _result(graph: Graph, table: Table, cell: Cell, records: Records) -> Result:
    state = records.state(cell)
    printed = published(graph, table, cell.row, cell.column)
    if cell.evaluation is None:
        return Result(cell, state, None, None, printed, None, "")
    path = records.relative(cell.evaluation)
    record = records.get(cell.evaluation)
    if record is None:
        return Result(cell, state, None, None, printed, None, path)
    ours = values(record, epoch_of(table), table.metric)
    last = estimate(values(record, "last", table.metric))
    missed = records.missed_budget(cell.evaluation)
    if printed is None:
        return Result(cell, state, estimate(ours), last, None, None, path, missed)
    fair = printed.comparable and comparable(graph, cell.evaluation) and not missed
    against = compare(printed, ours, table.tolerance) if fair else None
    verdict = against.verdict if against else Verdict.NOT_COMPARABLE
    return Result(cell, state, estimate(ours), last, printed, verdict, path, missed, against)


def epoch_of(table: Table) -> str:
    """The epoch that is shown: where parameters are chosen, never the best, chosen as well."""
    return "last" if table.tuning_holdout else table.recipe.reported


def values(record: Record, epoch: str, metric: Metric) -> list[float]:
    """A metric of every run of an evaluation, as exhibits print it.

    Args:
        record: an evaluation's.
        epoch: "best" or "last".
        metric: the quantity to read.

    Raises:
        DamagedData: a run lacks it.
    """
    runs = range(len(record.items("metrics", "runs")))
    return [metric.shown(record.number("metrics", "runs", i, epoch, metric.key)) for i in runs]


def reported(record: Record, metric: Metric) -> list[float]:
    """A metric of every run of an evaluation, at the epoch that its recipe reports.

    Raises:
        DamagedData: a run lacks it.
    """
    return values(record, str(record.at("metrics", "reported")), metric)
