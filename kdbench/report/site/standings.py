"""Leaderboards: all that was measured on one pair under one protocol, each cell once."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from kdbench.exhibits.requests import JOIN
from kdbench.plan.graph import Graph
from kdbench.report.readings.cost import HOUR, Cost, read_cost
from kdbench.report.readings.lines import Line
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.statistics import Estimate, contrast
from kdbench.store.student_runs import StudentRun

NO_WORD = re.compile(r"[^a-z0-9]+")
LONGEST, DIGITS = 80, 6  # letters of a page's name: its words, and its digest


@dataclass(frozen=True)
class Standing:
    """One measured cell of a leaderboard.

    Attributes:
        method: name for readers, the same in every leaderboard.
        gain: points over the student alone, above 0 where better, and half its 95 % interval;
            None for the student alone and where it was not measured.
        cost: of training and searches.
        parameters: of the network that was measured.
        tuned: whether a weight of the method is declared for this very pair.
        plugin: whether it is a method of the user's own.
    """

    line: Line
    method: str
    gain: tuple[float, float | None] | None
    cost: Cost
    parameters: float | None
    tuned: bool
    plugin: bool

    @property
    def estimate(self) -> Estimate:
        """At the protocol's epoch."""
        assert self.line.now is not None
        return self.line.now.estimate

    @property
    def hours(self) -> float | None:
        """Training and searches."""
        return self.cost.total

    @property
    def search_hours(self) -> float | None:
        """Searches alone."""
        return None if self.cost.search is None else self.cost.search / HOUR


@dataclass(frozen=True)
class Board:
    """One pair on one data set under one protocol.

    Attributes:
        lines: every planned cell once, measured or not.
        standings: the measured ones, best first.
        alone: the student without a teacher; None where it is not measured.
        teacher: likewise.
    """

    dataset: str
    teacher_label: str
    student_label: str
    protocol: str
    lines: Sequence[Line]
    standings: Sequence[Standing]
    alone: Line | None
    teacher: Line | None

    @property
    def title(self) -> str:
        """The pair, for readers."""
        return f"{self.teacher_label} → {self.student_label}"

    @property
    def slug(self) -> str:
        """Name of its page: short words for readers, and a digest that no other board has.

        Protocols may say in their names all that is measured, and how; the name has their first
        words alone. It is the same in every report.
        """
        metric = self.lines[0].metric.label
        whole = (self.dataset, self.teacher_label, self.student_label, self.protocol, metric)
        digest = sha256("\n".join(whole).encode()).hexdigest()[:DIGITS]
        words = " ".join([*whole[:3], self.protocol.partition(",")[0]]).lower()
        slug = NO_WORD.sub("-", words).strip("-")[:LONGEST].strip("-")
        return f"{slug}-{digest}"

    @property
    def metric(self) -> str:
        """The metric with its unit."""
        metric = self.lines[0].metric
        return f"{metric.label} in {metric.unit}"

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Ends of the axis on which its intervals are drawn."""
        estimates = [standing.estimate for standing in self.standings]
        marks = [line.now.estimate for line in (self.alone, self.teacher) if line and line.now]
        ends = [e.mean + sign * (e.half or 0.0) for e in (*estimates, *marks) for sign in (-1, 1)]
        means = [e.mean for e in (*estimates, *marks)]
        wide = 3 * (max(means) - min(means)) or 1.0  # an interval of two runs may be huge
        low, high = max(min(ends), min(means) - wide), min(max(ends), max(means) + wide)
        margin = 0.05 * (high - low) or 0.5
        low, high = low - margin, high + margin
        share = self.lines[0].metric.unit == "%"  # no share is outside of 0 to 100
        return (max(0.0, low), min(100.0, high)) if share else (low, high)

    def at(self, value: float) -> float:
        """Place of a value on that axis, 0 to 100, cut off at its ends."""
        low, high = self.bounds
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def boards(graph: Graph, records: Records, lines: Sequence[Line]) -> list[Board]:
    """All leaderboards of a report, those with most numbers first.

    Cells that are measured on held-out training images choose parameters and stand in none.

    Raises:
        DamagedData: a record lacks its cost.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in _each_once(lines):
        key = (line.dataset, line.teacher, line.student, _protocol(line), line.metric.label)
        groups.setdefault(key, []).append(line)
    made = [_board(graph, records, key, group) for key, group in groups.items()]
    shown = [board for board in made if any(_is_student(line) for line in board.lines)]
    return sorted(shown, key=lambda b: (-len(b.standings), b.dataset, b.title, b.protocol))


def _each_once(lines: Sequence[Line]) -> Iterator[Line]:
    """One line per evaluation, if possible one that has a published number."""
    by_place: dict[tuple[str, ...], Line] = {}
    for line in lines:
        if line.evaluation is None or line.table.tuning_holdout:
            continue
        place = (line.digest, line.teacher, line.student)  # one teacher is in several boards
        if place not in by_place or (line.published and not by_place[place].published):
            by_place[place] = line
    yield from by_place.values()


def _protocol(line: Line) -> str:
    return line.evaluation.first.protocol if line.evaluation else ""


def _is_student(line: Line) -> bool:
    return line.evaluation is not None and isinstance(line.evaluation.first, StudentRun)


def _is_alone(line: Line) -> bool:
    first = line.evaluation.first if line.evaluation else None
    return isinstance(first, StudentRun) and not first.teachers


def _board(graph: Graph, records: Records, key: tuple[str, ...], lines: Sequence[Line]) -> Board:
    done = [line for line in lines if line.state is CellState.DONE]
    alone = next((line for line in done if _is_alone(line)), None)
    teacher = next((line for line in done if not _is_student(line)), None)
    standings = [_standing(graph, records, line, alone) for line in done if _is_student(line)]
    sign = -1 if lines[0].metric.higher_is_better else 1
    ordered = sorted(standings, key=lambda s: (sign * s.estimate.mean, s.method))
    dataset, taught_by, student, protocol, _ = key
    return Board(dataset, taught_by, student, protocol, lines, ordered, alone, teacher)


def _standing(graph: Graph, records: Records, line: Line, alone: Line | None) -> Standing:
    evaluation = line.evaluation
    assert evaluation is not None and isinstance(evaluation.first, StudentRun)
    record = records.get(evaluation)
    assert record is not None
    names = [method.name for method in evaluation.first.method.losses]
    pair = line.result.cell.column.pair.key
    declared = [graph.components.get("method", name, where="report") for name in names]
    parameters = record.content["metrics"].get("parameters")
    return Standing(
        line,
        method_label(graph, line),
        gain_over(line, alone),
        read_cost(line.row, evaluation, record, records),
        float(parameters) if isinstance(parameters, int | float) else None,
        any(pair in component.declaration.pairs for component in declared),
        bool({*names} & {*graph.components.plugin_methods()}),
    )


def method_label(graph: Graph, line: Line) -> str:
    """A method's name, the same in every table; a row that changes it keeps the row's own label."""
    row, column = line.result.cell.row, line.result.cell.column
    changed = row.parameters or row.search_parameters or column.parameters or column.method
    first = line.evaluation.first if line.evaluation else None
    if changed or row.pruned_by or row.origin or JOIN in (row.method or "") or not first:
        return line.row
    if not isinstance(first, StudentRun):
        return line.row
    label: str = graph.components.get("method", first.method.name, where="report").label
    return label


def gain_over(line: Line, alone: Line | None) -> tuple[float, float | None] | None:
    """Points by which a cell is better than the student alone, with half the interval (Welch's)."""
    if alone is None or alone.now is None or line.now is None or line.digest == alone.digest:
        return None
    sign = 1.0 if line.metric.higher_is_better else -1.0
    return contrast([(sign, line.now.estimate), (-sign, alone.now.estimate)])
