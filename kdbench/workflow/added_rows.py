"""What your own methods add to a plan: a row in every table, with its runs and hours."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from kdbench.plan.graph import FigureRun, Graph
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun
from kdbench.store.timings import read_timings
from kdbench.workflow.requests import Requests


class Added(NamedTuple):
    """What a plan has more for some methods.

    Attributes:
        runs: all of them; what other rows need as well is not among them.
        left: those that are not finished.
        hours: of `left` on the device of its jobs, one after the other.
        timed: of `left`, how many have hours that were measured; the others' are declared, at most.
        gpu: whether the declared hours are a GPU's.
    """

    runs: int
    left: int
    hours: float
    timed: int
    gpu: bool = False


def added_by(graph: Graph, names: Collection[str], paths: Paths) -> Added:
    """Count what methods add to a plan.

    Args:
        graph: the plan, with these methods.
        names: of the methods.
        paths: of the project.
    """
    others = [target for target in graph.targets() if not _uses(target, names)]
    needed = {run.digest for target in others for run in target.with_upstream()}
    runs = [run for digest, run in graph.runs.items() if digest not in needed]
    left = [run for run in runs if not paths.record(run).is_file()]
    requests = Requests(graph.params, lambda: True, read_timings(paths.timings))
    gpu = any(requests.gpus([run]) for run in left)
    return Added(len(runs), len(left), requests.hours(left), requests.timed(left), gpu)


def added_lines(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line for every method of a plug-in that has runs in the plan."""
    for name in graph.components.plugin_methods():
        added = added_by(graph, [name], paths)
        if added.runs:
            yield f"methods, {name}: {in_words(added, graph.scale.stand_in)}"


def in_words(added: Added, stand_in: bool) -> str:
    """The number of added runs and, on real images, their hours.

    Args:
        added: see there.
        stand_in: whether the runs are of stand-ins, and take seconds.
    """
    count = f"adds {added.runs} runs"
    if added.left != added.runs:
        count += f", {added.left} of them to do"
    if stand_in or not added.left:
        return count
    return f"{count}: {_hours(added)}"


def _hours(added: Added) -> str:
    if added.timed == added.left:
        return f"{_rounded(added.hours)} device hours, as kdbench estimate timed them"
    origin = f"{added.timed} of them timed, the others " if added.timed else ""
    return (
        f"at most {_rounded(added.hours)} hours of {'a GPU' if added.gpu else 'one CPU core'} "
        f"({origin}by declared figures; kdbench estimate --device h100 gives a GPU's)"
    )


def _rounded(hours: float) -> str:
    """Three figures, without an exponent.

    >>> _rounded(214737.2), _rounded(6.554), _rounded(0)
    ('215,000', '6.55', '0')
    """
    figures = float(f"{hours:.3g}")
    return f"{figures:,.0f}" if figures >= 100 else f"{figures:g}"


def _uses(target: FigureRun, names: Collection[str]) -> bool:
    """Whether a run that an exhibit reads is of one of the methods."""
    students: Iterable[RunSpec] = target.runs if isinstance(target, EvaluationRun) else [target]
    return any(
        method.name in names
        for student in students
        if isinstance(student, StudentRun)
        for method in student.method.losses
    )
