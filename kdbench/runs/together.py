"""Several runs of one process at once, as lanes that take turns (`kdbench.engine.lanes`).

Trainings and searches share a device; what they need is made before, and what measures them after,
one at a time. Records, checkpoints and resuming are those of runs that are made alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from kdbench.engine import lanes
from kdbench.engine.devices import choose_device
from kdbench.engine.stopping import Stopper
from kdbench.errors import TryAgain
from kdbench.runs.execute import Options, attempt, complete, execute, is_finished, provide
from kdbench.runs.job import DamagedInput
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun

Lane = TeacherRun | SearchRun | StudentRun


def run_together(specs: Iterable[RunSpec], paths: Paths, options: Options, at_once: int) -> int:
    """Make the records of all these runs, of trainings and searches some at once.

    A run that fails is reported in one line; those that do not need it go on.

    Args:
        specs: the runs; what they need and is not done is made too.
        paths: of the project.
        options: of all runs together.
        at_once: so many, at most.

    Returns:
        How many failed, or could not be tried.

    Raises:
        TryAgain: stopped before the end, with a checkpoint of each on disk.
    """
    stopper, failed = options.stopper(), set[str]()
    wanted = {run.digest: run for spec in specs for run in _needed(spec, paths)}
    left = list(wanted.values())
    while left:
        group = [run for run in _beside(left) if run.digest not in failed]
        if len(group) < 2:
            group = left[:1]
            attempt(left[0], failed, options, partial(_alone, left[0], paths, options, stopper))
        else:
            _in_lanes(group, paths, options, stopper, failed, at_once)
        done = {run.digest for run in group}
        left = [run for run in left if run.digest not in done]
    return len(failed & wanted.keys())


def _needed(spec: RunSpec, paths: Paths) -> Iterable[RunSpec]:
    """A run that is not done, after what it needs and is not done."""
    if not is_finished(spec, paths):
        for upstream in spec.upstream.values():
            yield from _needed(upstream, paths)
        yield spec


def _beside(left: Sequence[RunSpec]) -> list[RunSpec]:
    """The runs that can be made beside each other now: nothing they need is left to do.

    Number formats and threads are a process's, so all have the same; several ranks share a run in
    processes of their own. What measures networks comes last, as lanes would wait for it.
    """
    to_do = {run.digest for run in left}
    ready = [
        run
        for run in left
        if isinstance(run, Lane)
        and run.runtime.ranks == 1
        and not any(upstream.digest in to_do for upstream in run.upstream.values())
    ]
    return [run for run in ready if run.runtime == ready[0].runtime]


def _alone(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    if not is_finished(spec, paths):
        complete(spec, paths, options, stopper)


def _in_lanes(
    group: Sequence[RunSpec],
    paths: Paths,
    options: Options,
    stopper: Stopper,
    failed: set[str],
    at_once: int,
) -> None:
    """Make runs at once. A run whose inputs prove damaged is made alone afterwards.

    Raises:
        TryAgain: stopped before the end.
    """
    damaged, stopped = list[RunSpec](), list[TryAgain]()
    quiet = replace(options, start_bar=lambda *_: lambda: None)  # bars would overwrite each other

    def make(spec: RunSpec) -> None:
        try:
            execute(spec, paths, quiet, stopper.beside())
        except DamagedInput:
            damaged.append(spec)

    def lane(spec: RunSpec) -> None:
        try:
            attempt(spec, failed, options, partial(make, spec))
        except TryAgain as error:
            stopped.append(error)

    def works() -> Iterable[Callable[[], None]]:
        for spec in group:
            if stopped:
                return
            yield partial(lane, spec)

    for upstream in {run.digest: run for spec in group for run in spec.upstream.values()}.values():
        attempt(upstream, failed, options, partial(provide, upstream, paths, options, stopper))
    lanes.in_lanes(works(), min(at_once, len(group)), choose_device())
    if stopped:
        raise stopped[0]
    for spec in damaged:
        attempt(spec, failed, options, partial(_alone, spec, paths, options, stopper))
