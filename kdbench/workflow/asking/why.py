"""`kdbench why`: why a cell's number may differ from the published one, aspect by aspect."""

from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.errors import UserError
from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph, make_graph
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
from kdbench.workflow.asking.difference import Values

UNKNOWN = "the paper's are not known"


def why(graph: Graph, paths: Paths, name: str) -> Iterator[str]:
    """Every cell of a table that shows a run, and all that may set its number apart; lines.

    Args:
        graph: the plan.
        paths: of the project.
        name: an evaluation, or a teacher or student that is measured, as `Graph.run` takes it.

    Raises:
        UserError: no table shows that run.
        UnknownName: no such run.
    """
    records = Records(paths)
    evaluations = _evaluations(graph, name)
    lines = [
        line
        for table in graph.tables()
        if {e.digest for e in evaluations} & {run.digest for run in graph.behind(table)}
        for line in read_lines(graph, table, records)
        if line.evaluation in evaluations
    ]
    if not lines:
        raise UserError(f"{name}: no table shows this run; kdbench status --runs lists all runs")
    for line in lines:
        yield from _cell(graph, line, records)


def _evaluations(graph: Graph, name: str) -> list[EvaluationRun]:
    """The evaluation of that name, or those that measure the run of that name."""
    run = graph.run(name)
    if isinstance(run, EvaluationRun):
        return [run]
    every = [one for one in graph.runs.values() if isinstance(one, EvaluationRun)]
    return [one for one in every if run in one.runs]


def _cell(graph: Graph, line: Line, records: Records) -> Iterator[str]:
    evaluation = line.evaluation
    assert evaluation is not None
    yield f"{line.table.id}, row {line.row}, {line.head} ({evaluation.title}, {evaluation.digest})"
    yield f"  {_numbers(line)}"
    notice = banner(graph)
    yield from ([f"  {notice}"] if notice else [])
    as_published = _as_published(graph, line)
    if as_published is None:
        yield "  not in the plan of scale paper: nothing to compare its parameters with"
    else:
        for aspect, differences in compared(as_published, evaluation).items():
            yield f"  {aspect}: {_listed(differences)}"
    for aspect, text in _measured(graph, line, records).items():
        yield f"  {aspect}: {text}"


def _numbers(line: Line) -> str:
    printed, ours = line.published, line.result.ours
    source = f" ({printed.source})" if printed else ""
    there = f"{printed.value:g} {line.metric.unit}{source}" if printed else "no printed number"
    here = line.state.value
    if ours:
        spread = "" if ours.half is None else f" ± {ours.half:.2f} (95 %)"
        here = f"{ours.mean:.2f}{spread} {line.metric.unit}, n {ours.n}"
    verdict = f"; {line.result.verdict.value}" if line.result.verdict else ""
    return f"published {there}; here {here}{verdict}"


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
    pairs = [f"{key} {there} -> {here}" for key, (there, here) in differences.items()]
    return "; ".join(pairs) or "as published"


def _measured(graph: Graph, line: Line, records: Records) -> dict[str, str]:
    """What no specification says: the teacher's accuracy, versions, devices, code, notes."""
    runs = (
        [(run, record) for run, record in records.behind([line.evaluation])]
        if (line.evaluation)
        else []
    )
    origins = [record.content.get("provenance", {}) for _, record in runs]
    versions = {
        f"{package} {version}"
        for origin in origins
        for package, version in origin.get("versions", {}).items()
    }
    older = [run.title for run, record in runs if not _is_todays(run, record)]
    notes = [str(note) for _, record in runs for note in record.content.get("notes", [])]
    return {
        "teacher's accuracy": _teacher(graph, line, records),
        "number of seeds": f"{len(line.runs)}{_printed_runs(line)}",
        "versions": f"{', '.join(sorted(versions)) or 'no finished run'}; {UNKNOWN}",
        "devices": f"{_distinct(origins, 'device')}; {UNKNOWN}",
        "made by today's code": f"no: {', '.join(older)}" if older else "all finished runs",
        "sources": _trust(line),
        **({"notes of the runs": "; ".join(dict.fromkeys(notes))} if notes else {}),
    }


def _is_todays(run: RunSpec, record: Record) -> bool:
    return is_todays_code(str(record.at("provenance", "code")), run)


def _printed_runs(line: Line) -> str:
    printed = line.published
    return f" here, {printed.runs} in the paper" if printed and printed.runs else " here"


def _distinct(origins: list[Mapping[str, Any]], key: str) -> str:
    values = dict.fromkeys(str(origin[key]) for origin in origins if origin.get(key))
    return ", ".join(values) or "no finished run"


def _trust(line: Line) -> str:
    """How the printed number is known, and whether it may be compared at all."""
    if line.published is None:
        return "no printed number"
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
    ours = f"{metric.shown(measured[metric.key]):.2f}" if measured else "not measured yet"
    printed = _printed_teacher(graph, line.table, line)
    epoch = {"best": "best epoch on the test set", "last": "last epoch"}[first.teacher_epoch]
    return f"{printed} published, {ours} {metric.unit} here, taken at its {epoch}"


def _printed_teacher(graph: Graph, table: Table, line: Line) -> str:
    rows = [row for row in table.rows if row.role == "teacher"]
    numbers = (published(graph, table, row, line.result.cell.column) for row in rows)
    return next((f"{number.value:g}" for number in numbers if number), "none")
