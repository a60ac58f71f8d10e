"""`kdbench why EXHIBIT`: what is done of it, every number, and the claims that it tests."""

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from kdbench.exhibits.tables import Exhibit, Table
from kdbench.papers import all_claims
from kdbench.plan.graph import Graph
from kdbench.report.readings.banner import banner
from kdbench.report.readings.lines import Line, read_lines
from kdbench.report.readings.records import Records
from kdbench.report.site.overview import Overview
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun, TaughtRun
from kdbench.store.teacher_runs import TeacherRun
from kdbench.workflow.named import to_plan


def describe_exhibit(exhibit: Exhibit, graph: Graph, records: Records) -> Iterator[str]:
    """Its title, runs and claims, and its cells with the names that `kdbench why` takes; lines.

    Raises:
        DamagedData: a record lacks something.
    """
    yield f"{exhibit.id}: {exhibit.title}"
    yield from ([f"  {notice}"] if (notice := banner(graph)) else [])
    claims = [claim.id for claim in all_claims() if exhibit.id in claim.exhibits]
    yield from ([f"  tests the claims: {', '.join(claims)}"] if claims else [])
    if exhibit.id not in [planned.id for planned in graph.exhibits]:
        yield to_plan([exhibit.id], graph)
        return
    overview = Overview(graph, records, [], [])
    targets = graph.behind(exhibit)
    runs = {run.digest: run for target in targets for run in target.with_upstream()}
    if not runs:
        yield "  left out by the filters of params.yaml"
        return
    yield from terms_of([exhibit], targets)
    work = overview.work(runs.values(), overview.command_for([exhibit.id]))
    yield f"  runs: {work.done} of {work.planned} done"
    if work.missing:
        yield f"  to make the others: {work.command}"
    yield from _numbers(exhibit, graph, records)


def terms_of(exhibits: Iterable[Exhibit], targets: Iterable[RunSpec]) -> Iterator[str]:
    """Protocols, number format, seeds per cell and tolerance of some runs; one line, if any train.

    Args:
        exhibits: whose tolerances are meant.
        targets: the runs that they read.
    """
    measured = [run.first if isinstance(run, EvaluationRun) else run for run in targets]
    trained = [run for run in measured if isinstance(run, TaughtRun | TeacherRun)]
    recipes = dict.fromkeys((one.recipe.name, one.recipe.epochs) for one in trained)
    named = [f"{name} ({epochs:g} epochs)" for name, epochs in recipes]
    formats = dict.fromkeys(one.runtime.precision for one in trained)
    seeds = sorted({len(run.runs) for run in targets if _of_students(run)})
    kept = {f"{e.tolerance:g} {e.metric.unit}" for e in exhibits if _compares(e)}
    parts = [f"protocol: {', '.join(named)}", f"in {', '.join(formats)}"]
    parts += [f"students per cell: {' or '.join(map(str, seeds))}"] if seeds else []
    parts += [f"tolerance: {' or '.join(sorted(kept))}"] if kept else []
    yield from ([f"  {'; '.join(parts)}"] if named else [])


def _of_students(run: RunSpec) -> TypeGuard[EvaluationRun]:
    return isinstance(run, EvaluationRun) and isinstance(run.first, StudentRun)


def _compares(exhibit: Exhibit) -> TypeGuard[Table]:
    """Whether it sets numbers beside published ones, within a tolerance."""
    return isinstance(exhibit, Table) and exhibit.tolerance > 0


def _numbers(exhibit: Exhibit, graph: Graph, records: Records) -> Iterator[str]:
    """A line per cell of a table; of any other exhibit, the names of its runs."""
    if not isinstance(exhibit, Table):
        names = dict.fromkeys(f"{run.phase}/{run.cell}" for run in graph.behind(exhibit))
        yield f"  shows: {', '.join(names)}"
        return
    lines = [line for line in read_lines(graph, exhibit, records) if line.evaluation]
    if lines:
        yield "  cells; kdbench why NAME says what may set one apart:"
    for line in lines:
        assert line.evaluation is not None
        yield f"    {line.evaluation.cell}: {line.row}, {line.head}; {numbers_of(line)}"


def numbers_of(line: Line) -> str:
    """A cell's printed number, ours or why there is none, and the verdict."""
    printed, ours = line.published, line.result.ours
    source = f" ({printed.source})" if printed else ""
    there = f"published: {printed.value:g} {line.metric.unit}{source}" if printed else "unpublished"
    here = line.state.value
    if ours:
        spread = "" if ours.half is None else f" ± {ours.half:.2f} (95 %)"
        here = f"{ours.mean:.2f}{spread} {line.metric.unit}, n {ours.n}"
    verdict = f"; {line.result.verdict.value}" if line.result.verdict else ""
    return f"{there}; here: {here}{verdict}"
