"""Choosing parameters on training images that are held out, as a recorded and repeatable run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.exhibits.tables import Row, Table
from kdbench.plan.graph import Graph
from kdbench.plan.job_groups import JobGroups
from kdbench.store.paths import Paths
from kdbench.store.record import Seal, read_record, seal_of
from kdbench.store.student_runs import EvaluationRun, StudentRun
from kdbench.workflow.calls import make_missing


@dataclass(frozen=True)
class Choice:
    """One combination of parameters and how it did.

    Attributes:
        label: the row's.
        column: `teacher:student`.
        values: the metric of every seed, at the last epoch: the best one would be chosen as well;
            empty where a run is missing or failed.
        parameters: what params.yaml would say of the row.
        diverged: whether a run of it did.
        altered: whether its record was changed after the run.
    """

    label: str
    column: str
    values: tuple[float, ...]
    parameters: dict[str, Any]
    diverged: bool = False
    altered: bool = False

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return sum(self.values) / len(self.values)


def tuning_table(graph: Graph, name: str) -> Table:
    """The table of that id, which must measure on held-out training images.

    Raises:
        UnknownName: no such exhibit is planned.
        BadValue: it measures on test images.
    """
    tables = {table.id: table for table in graph.tables()}
    known = [key for key, table in tables.items() if table.tuning_holdout]
    if name not in tables and known:
        raise UnknownName("table", name, known, where="tune")
    if name not in tables:
        raise BadValue("tune", name, "a table with held_out above 0", "as dfa/tuning")
    if not tables[name].tuning_holdout:
        raise BadValue(f"tune, {name}", "a table of test accuracies", "one with held_out above 0")
    return tables[name]


def make(
    graph: Graph, paths: Paths, table: Table, cores: int | None, config: dict[str, Any]
) -> int:
    """Have Snakemake make the records of a table that are missing; returns its exit code.

    A combination that diverges is an answer too: the others go on.
    """
    groups = JobGroups(graph, paths)
    targets = [paths.record(run) for run in graph.behind(table) if groups.asked(run)]
    return make_missing(targets, paths.root, cores=cores, config=config, keep_going=True)


def ranked(graph: Graph, paths: Paths, table: Table) -> list[Choice]:
    """The rows of a table, column by column, best first by their mean; unfinished ones last."""
    choices = []
    for cell in graph.cells[table.id]:
        if cell.evaluation is None:
            continue
        values: tuple[float, ...] = ()
        altered = False
        if paths.record(cell.evaluation).is_file():
            record = read_record(paths.record(cell.evaluation))
            altered = seal_of(record) is Seal.BROKEN
            runs = [] if altered else record["metrics"]["runs"]
            values = tuple(table.metric.shown(run["last"][table.metric.key]) for run in runs)
        missing = [r for r in cell.evaluation.with_upstream() if not paths.record(r).is_file()]
        diverged = any(paths.diverged(run).is_file() for run in missing)
        parameters = _parameters(cell.evaluation, cell.row)
        label, column = cell.row.label, cell.column.pair.key
        choices.append(Choice(label, column, values, parameters, diverged, altered))
    sign = -1 if table.metric.higher_is_better else 1

    def place(choice: Choice) -> tuple[str, bool, float]:
        return choice.column, not choice.values, sign * choice.mean if choice.values else 0.0

    return sorted(choices, key=place)


def lines(choices: Sequence[Choice]) -> list[str]:
    """A line a choice, and what params.yaml would say of the best of every column."""
    text = []
    for column in dict.fromkeys(choice.column for choice in choices):
        rows = [choice for choice in choices if choice.column == column]
        text.append(f"{column}, accuracy on held-out training images in %, last epoch:")
        for row in rows:
            if not row.values:
                text.append(f"     ?    {row.label}  ({_why(row)})")
                continue
            each = ", ".join(f"{value:.2f}" for value in row.values)
            text.append(f"  {row.mean:6.2f}  {row.label}  ({each})")
        if rows[0].values:
            text.append(f"  best: {json.dumps(rows[0].parameters)}")
        if len(rows[0].values) == 1:
            text.append("  n = 1 seed: nothing says whether this is noise; give the table `seeds`")
    return text


def _why(choice: Choice) -> str:
    """Why a choice has no value."""
    if choice.altered:
        return f"its record {Seal.BROKEN.value}"
    return "diverged" if choice.diverged else "not finished; its log says why"


def _parameters(evaluation: EvaluationRun, row: Row) -> dict[str, Any]:
    """The row's own parameters as params.yaml writes them."""
    student = evaluation.first
    parameters: dict[str, Any] = {}
    if not isinstance(student, StudentRun):
        return parameters
    if row.parameters:
        parameters["methods"] = {student.method.name: dict(row.parameters)}
    searches = [run for run in (student.structure, *student.schemes) if run]
    if row.search_parameters and searches:
        parameters["searches"] = {searches[0].search.name: dict(row.search_parameters)}
    return parameters
