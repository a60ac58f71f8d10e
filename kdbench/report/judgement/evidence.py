"""Numbers that a claim is judged by, as the runs of one exhibit give them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import TEST_ERROR, Column, Exhibit, Row, Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import Comparison
from kdbench.report.readings.cells import head, published, reported, values
from kdbench.report.readings.records import FinishedRuns, Records
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, structure_of

UNMET = "a search ended before its budget was met"
Name = TypeVar("Name", bound=RunKey)


@dataclass(frozen=True)
class Evidence:
    """One exhibit and its records.

    Attributes:
        names: where the exhibit was made for another question, what a claim's rows, columns and
            runs are called there; what is not in it is not there. None: as the claim calls them.
    """

    graph: Graph
    exhibit: Exhibit
    records: Records
    names: Mapping[RunKey, RunKey] | None = None

    @property
    def planned(self) -> Mapping[RunKey, RunSpec | None]:
        """Runs that a figure reads, by its keys; None for what params.yaml leaves out."""
        return self.graph.drawn.get(self.exhibit.id, {})

    @cached_property
    def runs(self) -> FinishedRuns:
        """Finished runs of a figure, by its keys."""
        return self.records.finished(self.planned)

    def called(self, name: Name) -> Name | None:
        """What a claim's row, column or run is called in this exhibit; None where it is not."""
        return name if self.names is None else cast("Name | None", self.names.get(name))

    def rows(
        self, pairs: Iterable[tuple[str, str]], columns: tuple[Pair, ...] = ()
    ) -> list[Comparison]:
        """Pairs of a table's rows, by label, in every column, or in those of some networks."""
        return [
            self._cells(f"{a} over {b}", head(self.graph, column), (here, column), (there, column))
            for a, b, here, there in self._called(pairs)
            for column in self._table().all_columns
            if (not columns or column.pair in columns)
            and all(self._table().shows(self._rows[label], column) for label in (here, there))
        ]

    def row_against_all(self, row: str, apart: Iterable[str]) -> list[Comparison]:
        """One row of a table against all other students' rows but those of plug-ins."""
        get = self.graph.components.get
        students = [str(name) for name in self.names or ()] or [
            one.label
            for one in self._table().rows
            if one.role == "student"
            and not any(get("method", m, where="").plugin for m in one.methods)
        ]
        return self.rows((row, other) for other in students if other not in (row, *apart))

    def columns(self, pairs: Iterable[tuple[str, str]]) -> list[Comparison]:
        """Pairs of a table's columns, by setting or else label, in every student's row."""
        table = self._table()
        columns = {column.setting or column.label: column for column in table.all_columns}
        return [
            self._cells(
                f"{a} over {b}", row.label, (row.label, columns[here]), (row.label, columns[there])
            )
            for a, b, here, there in self._called(pairs)
            for row in table.rows
            if row.role == "student"
        ]

    def errors(self, pairs: Iterable[tuple[RunKey, RunKey]]) -> list[Comparison]:
        """Pairs of a figure's runs, by test error."""
        return [
            Comparison(
                self._named(f"{here} over {there}"),
                self.error(here),
                self.error(there),
                higher=False,
                unfair=self.unfair(self.planned.get(here), self.planned.get(there)),
                cells=(_digest(self.planned.get(here)), _digest(self.planned.get(there))),
            )
            for _, _, here, there in self._called(pairs)
        ]

    def error(self, key: RunKey) -> list[float]:
        """Test errors of one of a figure's runs, one per seed; none while it is not finished."""
        return reported(self.runs[key][1], TEST_ERROR) if key in self.runs else []

    def unfair(self, *specs: RunSpec | None) -> str:
        """Pruned networks of unequal budgets are not compared; one network with itself is."""
        searches = [structure_of(spec) for spec in specs]
        if len({search.digest if search else None for search in searches}) == 1:
            return ""
        return UNMET if any(self.records.missed_budget(spec) for spec in specs) else ""

    def _called(
        self, pairs: Iterable[tuple[Name, Name]]
    ) -> Iterator[tuple[Name, Name, Name, Name]]:
        """Pairs that are both in this exhibit, as the claim and as the exhibit calls them."""
        for a, b in pairs:
            here, there = self.called(a), self.called(b)
            if here is not None and there is not None:
                yield a, b, here, there

    def _cells(
        self, group: str, place: str, first: tuple[str, Column], second: tuple[str, Column]
    ) -> Comparison:
        table, (one, other) = self._table(), (self._by_place[first], self._by_place[second])
        return Comparison(
            self._named(f"{group}, {place.replace('<br>', ' ')}"),
            self._values(table, one),
            self._values(table, other),
            higher=table.metric.higher_is_better,
            unfair=self.unfair(one, other),
            group=group,
            cells=(_digest(one), _digest(other)),
            printed=self._printed(table, first, second),
        )

    def _named(self, comparison: str) -> str:
        return comparison if self.names is None else f"{comparison} ({self.exhibit.id})"

    def _values(self, table: Table, spec: RunSpec | None) -> list[float]:
        record = self.records.get(spec) if spec else None
        return values(record, table.recipe.reported, table.metric) if record else []

    def _printed(
        self, table: Table, first: tuple[str, Column], second: tuple[str, Column]
    ) -> float | None:
        """By how much the first is better in print."""
        numbers = [
            published(self.graph, table, self._rows[label], column)
            for label, column in (first, second)
        ]
        known = [one.value for one in numbers if one and one.comparable]
        if len(known) < 2:
            return None
        lead = known[0] - known[1]
        return lead if table.metric.higher_is_better else -lead

    @cached_property
    def _by_place(self) -> dict[tuple[str, Column], EvaluationRun | None]:
        cells = self.graph.cells[self.exhibit.id]
        return {(cell.row.label, cell.column): cell.evaluation for cell in cells}

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.label: row for row in self._table().rows}

    def _table(self) -> Table:
        assert isinstance(self.exhibit, Table), f"{self.exhibit.id} is no table"
        return self.exhibit


def _digest(spec: RunSpec | None) -> str:
    return spec.digest if spec else ""
