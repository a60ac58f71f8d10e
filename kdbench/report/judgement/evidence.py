"""Numbers that a claim is judged by, as the runs of one exhibit give them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.tables import TEST_ERROR, Column, Exhibit, Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import Comparison
from kdbench.report.readings.cells import head, reported, values
from kdbench.report.readings.records import FinishedRuns, Records
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, structure_of

UNMET = "a search ended before its budget was met"


@dataclass(frozen=True)
class Evidence:
    """One exhibit and its records."""

    graph: Graph
    exhibit: Exhibit
    records: Records

    @property
    def planned(self) -> Mapping[RunKey, RunSpec | None]:
        """Runs that a figure reads, by its keys; None for what params.yaml leaves out."""
        return self.graph.drawn.get(self.exhibit.id, {})

    @cached_property
    def runs(self) -> FinishedRuns:
        """Finished runs of a figure, by its keys."""
        return self.records.finished(self.planned)

    def rows(self, pairs: Iterable[tuple[str, str]]) -> list[Comparison]:
        """Pairs of a table's rows, by label, in every column."""
        table = self._table()
        return [
            self._cells(f"{a} over {b}, {head(self.graph, column)}", (a, column), (b, column))
            for a, b in pairs
            for column in table.all_columns
        ]

    def row_against_all(self, row: str, apart: Iterable[str]) -> list[Comparison]:
        """One row of a table against all other students' rows but those of plug-ins."""
        get = self.graph.components.get
        students = [
            one.label
            for one in self._table().rows
            if one.role == "student"
            and not any(get("method", m, where="").plugin for m in one.methods)
        ]
        return self.rows((row, other) for other in students if other not in (row, *apart))

    def columns(self, pairs: Iterable[tuple[str, str]]) -> list[Comparison]:
        """Pairs of a table's columns, by setting, in every student's row."""
        table = self._table()
        settings = {column.setting: column for column in table.all_columns}
        return [
            self._cells(
                f"{row.label}, {a} over {b}", (row.label, settings[a]), (row.label, settings[b])
            )
            for a, b in pairs
            for row in table.rows
            if row.role == "student"
        ]

    def errors(self, pairs: Iterable[tuple[RunKey, RunKey]]) -> list[Comparison]:
        """Pairs of a figure's runs, by test error."""
        return [
            Comparison(
                f"{a} over {b}",
                self.error(a),
                self.error(b),
                higher=False,
                unfair=self._unfair(self.planned.get(a), self.planned.get(b)),
            )
            for a, b in pairs
        ]

    def error(self, key: RunKey) -> list[float]:
        """Test errors of one of a figure's runs, one per seed; none while it is not finished."""
        return reported(self.runs[key][1], TEST_ERROR) if key in self.runs else []

    def _cells(
        self, name: str, first: tuple[str, Column], second: tuple[str, Column]
    ) -> Comparison:
        table, (one, other) = self._table(), (self._by_place[first], self._by_place[second])
        return Comparison(
            name,
            self._values(table, one),
            self._values(table, other),
            higher=table.metric.higher_is_better,
            unfair=self._unfair(one, other),
        )

    def _values(self, table: Table, spec: RunSpec | None) -> list[float]:
        record = self.records.get(spec) if spec else None
        return values(record, table.recipe.reported, table.metric) if record else []

    @cached_property
    def _by_place(self) -> dict[tuple[str, Column], EvaluationRun | None]:
        cells = self.graph.cells[self.exhibit.id]
        return {(cell.row.label, cell.column): cell.evaluation for cell in cells}

    def _unfair(self, *specs: RunSpec | None) -> str:
        """Pruned networks of unequal budgets are not compared; one network with itself is."""
        searches = [structure_of(spec) for spec in specs]
        if len({search.digest if search else None for search in searches}) == 1:
            return ""
        return UNMET if any(self.records.missed_budget(spec) for spec in specs) else ""

    def _table(self) -> Table:
        assert isinstance(self.exhibit, Table), f"{self.exhibit.id} is no table"
        return self.exhibit
