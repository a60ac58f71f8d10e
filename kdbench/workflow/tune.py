"""Choosing parameters on training images that are held out, as a recorded and repeatable run."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph
from kdbench.plan.job_groups import JobGroups
from kdbench.store.paths import Paths
from kdbench.store.record import read_record
from kdbench.store.spec import RunSpec
from kdbench.workflow import programs


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
    """

    label: str
    column: str
    values: tuple[float, ...]
    parameters: dict[str, Any]
    diverged: bool = False

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
    batches = JobGroups(graph, paths)
    asked = [paths.record(spec) for spec in graph.behind(table) if batches.asked(spec)]
    missing = [str(record) for record in asked if not record.is_file()]
    if not missing:
        return 0
    if not (paths.root / "Snakefile").is_file():
        raise UserError(f"{paths.root / 'Snakefile'}: no such file; run in a project folder")
    command = [sys.executable, "-m", "snakemake", "--keep-going", "--cores", str(cores or "all")]
    command += missing
    words = [f"{key}={json.dumps(value)}" for key, value in config.items()]
    return subprocess.call(
        [*command, "--config", *words], cwd=paths.root, env=programs.environment()
    )


def ranked(graph: Graph, paths: Paths, table: Table) -> list[Choice]:
    """The rows of a table, column by column, best first by their mean; unfinished ones last."""
    found = []
    for cell in graph.cells[table.id]:
        if cell.evaluation is None:
            continue
        values: tuple[float, ...] = ()
        if paths.record(cell.evaluation).is_file():
            runs = read_record(paths.record(cell.evaluation))["metrics"]["runs"]
            values = tuple(table.metric.shown(run["last"][table.metric.key]) for run in runs)
        missing = [r for r in cell.evaluation.with_upstream() if not paths.record(r).is_file()]
        diverged = any(paths.diverged(run).is_file() for run in missing)
        said = _said(cell.evaluation, cell.row)
        found.append(Choice(cell.row.label, cell.column.pair.key, values, said, diverged))
    sign = -1 if table.metric.higher_is_better else 1

    def place(choice: Choice) -> tuple[str, bool, float]:
        return choice.column, not choice.values, sign * choice.mean if choice.values else 0.0

    return sorted(found, key=place)


def lines(choices: Sequence[Choice]) -> list[str]:
    """A line a choice, and what params.yaml would say of the best of every column."""
    told = []
    for column in dict.fromkeys(choice.column for choice in choices):
        rows = [choice for choice in choices if choice.column == column]
        told.append(f"{column}, accuracy on held-out training images in %, last epoch:")
        for row in rows:
            if not row.values:
                why = "diverged" if row.diverged else "not finished; its log says why"
                told.append(f"     ?    {row.label}  ({why})")
                continue
            each = ", ".join(f"{value:.2f}" for value in row.values)
            told.append(f"  {row.mean:6.2f}  {row.label}  ({each})")
        if rows[0].values:
            told.append(f"  best: {json.dumps(rows[0].parameters)}")
    return told


def _said(evaluation: RunSpec, row: Any) -> dict[str, Any]:
    """The row's own parameters as params.yaml writes them."""
    student = evaluation.upstream["run0"]
    said: dict[str, Any] = {}
    if row.parameters:
        said["methods"] = {student.params["method"]["name"]: dict(row.parameters)}
    searches = [student.upstream[r] for r in ("structure", "search") if r in student.upstream]
    if row.search_parameters and searches:
        name = searches[0].params["search"]["name"]
        said["searches"] = {name: dict(row.search_parameters)}
    return said
