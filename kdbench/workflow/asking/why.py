"""`kdbench why`: why a cell's number may differ from the published one, aspect by aspect."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.errors import UserError
from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph, make_graph, names_of
from kdbench.plan.params import Params
from kdbench.report.readings.banner import banner
from kdbench.report.readings.cells import published
from kdbench.report.readings.lines import Line, read_lines
from kdbench.report.readings.records import Record, Records
from kdbench.store.fingerprint import is_todays_code
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, TaughtRun
from kdbench.workflow.asking.aspects import compared
from kdbench.workflow.asking.claim import describe_claim
from kdbench.workflow.asking.difference import Values
from kdbench.workflow.asking.exhibit import describe_exhibit, numbers_of
from kdbench.workflow.named import find_claim, find_exhibit, find_run

MOST_CELLS = 10  # that are named as depending on a run
UNKNOWN = "the paper's are not known"


def why(graph: Graph, paths: Paths, name: str) -> Iterator[str]:
    """A claim, an exhibit, or every cell that shows a run and all that may set its number apart.

    Args:
        graph: the plan.
        paths: of the project.
        name: a claim's or an exhibit's id; or an evaluation, or a teacher or student that is
            measured, as `Graph.run` takes it.

    Returns:
        Lines. A cell after the first says only what differs from the first. Of a run that no table
        shows by itself, such as a search: which cells depend on it.

    Raises:
        UserError: no table shows that run, nor anything that depends on it.
        UnknownName: no such run, claim or exhibit.
    """
    records = Records(paths)
    if claim := find_claim(name):
        yield from describe_claim(claim, graph, records)
        return
    if exhibit := find_exhibit(graph, name):
        yield from describe_exhibit(exhibit, graph, records)
        return
    evaluations = _evaluations(graph, name)
    lines = [
        line
        for table in graph.tables()
        if {e.digest for e in evaluations} & {run.digest for run in graph.behind(table)}
        for line in read_lines(graph, table, records)
        if line.evaluation in evaluations
    ]
    if not lines:
        yield from _read_by(graph, name)
    first: list[str] = []
    for line in lines:
        yield f"{line.table.id}, row {line.row}, {line.head} ({_evaluated(line)})"
        yield f"  {numbers_of(line)}"
        reasons = list(_reasons(graph, line, records))
        yield from (f"  {reason}" for reason in reasons if reason not in first)
        if first and set(reasons) & set(first):
            yield "  for the rest as above"
        first = first or reasons


def _read_by(graph: Graph, name: str) -> Iterator[str]:
    run = find_run(graph, name)
    shown = {one.digest: one for table in graph.tables() for one in graph.behind(table)}
    cells = [one for one in shown.values() if run in one.with_upstream()]
    if not cells:
        raise UserError(f"{name}: no table shows this run; kdbench status --runs lists all runs")
    yield f"{run.title} ({run.digest}): no table shows it by itself; these cells depend on it:"
    names = sorted({cell.cell for cell in cells})
    yield from (f"  {one}" for one in names[:MOST_CELLS])
    if len(names) > MOST_CELLS:
        yield f"  and {len(names) - MOST_CELLS} more"
    yield "kdbench why CELL says why the number of one of them may differ from the published one"


def _evaluations(graph: Graph, name: str) -> list[EvaluationRun]:
    """The evaluations of that name (tables differ in their seeds), or of the run of that name."""
    every = [one for one in graph.runs.values() if isinstance(one, EvaluationRun)]
    if named := [one for one in every if name in names_of(one)]:
        return named
    run = find_run(graph, name)
    return [run] if isinstance(run, EvaluationRun) else [one for one in every if run in one.runs]


def _evaluated(line: Line) -> str:
    assert line.evaluation is not None
    return f"{line.evaluation.title}, {line.evaluation.digest}"


def _reasons(graph: Graph, line: Line, records: Records) -> Iterator[str]:
    """What may set the number of a cell apart from the published one; a line per aspect."""
    assert line.evaluation is not None
    yield from ([notice] if (notice := banner(graph)) else [])
    as_published = _as_published(graph, line)
    if as_published is None:
        yield "not in the plan of scale paper: nothing to compare its parameters with"
    else:
        yield "what differs, as published -> here:"
        aspects = compared(as_published, line.evaluation)
        yield from (f"{name}: {_listed(values)}" for name, values in aspects.items() if values)
        yield f"as published: {', '.join(name for name, values in aspects.items() if not values)}"
    for aspect, text in _measured(graph, line, records).items():
        yield f"{aspect}: {text}"


def _as_published(graph: Graph, line: Line) -> EvaluationRun | None:
    """The same cell at scale paper without overrides, if that plan has it."""
    today = graph.params
    params = Params(
        scale="paper",
        exhibits=[line.table.id],
        datasets=today.datasets,
        tables=today.tables,
        plugins=today.plugins,
    )
    cells = make_graph(params).cells[line.table.id]
    mine = line.result.cell
    same = (c.evaluation for c in cells if (c.row, c.column) == (mine.row, mine.column))
    return next(same, None)


def _listed(differences: Mapping[str, Values]) -> str:
    """Equal changes once, with the runs that have them; a key is "run, parameter"."""
    roles = defaultdict[str, list[str]](list)
    for name, (there, here) in differences.items():
        role, _, key = name.partition(", ")
        roles[f"{key} {there} -> {here}"].append(role)
    return "; ".join(f"{', '.join(runs)}, {change}" for change, runs in roles.items())


def _measured(graph: Graph, line: Line, records: Records) -> dict[str, str]:
    """What no specification says: the teacher's accuracy, versions, devices, code, notes."""
    source = {"source of the published number": _trust(line)} if line.published else {}
    seeds = f"{len(line.runs)} here{_printed_runs(line)}"
    always = {
        "teacher's accuracy": _teacher(graph, line, records),
        "number of seeds": seeds,
        **source,
    }
    runs = list(records.behind([line.evaluation])) if line.evaluation else []
    diverged = records.diverged([line.evaluation]) if line.evaluation else []
    if diverged:
        always["diverged"] = "; ".join(diverged)
    if not runs:
        return {**always, "records": "no run of this cell is finished"}
    origins = [record.content.get("provenance", {}) for _, record in runs]
    versions = {
        f"{package} {version}"
        for origin in origins
        for package, version in origin.get("versions", {}).items()
    }
    older = [run.title for run, record in runs if not _is_todays(run, record)]
    exceptions = f"all but {', '.join(older)}" if older else "all finished runs"
    notes = [str(note) for _, record in runs for note in record.content.get("notes", [])]
    return {
        **always,
        "versions": f"{', '.join(sorted(versions))}; {UNKNOWN}",
        "devices": f"{_distinct(origins, 'device')}; {UNKNOWN}",
        "made by today's code": "no run" if len(older) == len(runs) else exceptions,
        **({"notes of the runs": "; ".join(dict.fromkeys(notes))} if notes else {}),
    }


def _is_todays(run: RunSpec, record: Record) -> bool:
    return is_todays_code(str(record.at("provenance", "code")), run)


def _printed_runs(line: Line) -> str:
    printed = line.published
    return f", {printed.runs} in the paper" if printed and printed.runs else ""


def _distinct(origins: list[Mapping[str, Any]], key: str) -> str:
    values = dict.fromkeys(str(origin[key]) for origin in origins if origin.get(key))
    return ", ".join(values)


def _trust(line: Line) -> str:
    """How the printed number is known, and whether it may be compared at all."""
    assert line.published is not None
    fair = "" if line.published.comparable else "; marked as not comparable with any of ours"
    return f"{line.published.source}{fair}"


def _teacher(graph: Graph, line: Line, records: Records) -> str:
    """The teacher's accuracy as printed in the same column and as measured here, and its epoch."""
    first = line.evaluation.first if line.evaluation else None
    if not isinstance(first, TaughtRun) or first.teacher is None:
        return "no teacher"
    record = records.get(first.teacher)
    measured = record.content["metrics"].get(first.teacher_epoch) if record else None
    metric = line.metric
    ours = f"{metric.shown(measured[metric.key]):.2f} {metric.unit}" if measured else "no number"
    printed = _printed_teacher(graph, line.table, line)
    epoch = {"best": "best epoch on the test set", "last": "last epoch"}[first.teacher_epoch]
    return f"{printed} published, {ours} here, taken at its {epoch}"


def _printed_teacher(graph: Graph, table: Table, line: Line) -> str:
    rows = [row for row in table.rows if row.role == "teacher"]
    numbers = (published(graph, table, row, line.result.cell.column) for row in rows)
    return next((f"{number.value:g}" for number in numbers if number), "none")
