"""One run: do what its specification says, write its record last. Also without Snakemake."""

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from kdbench.engine import environment, lanes
from kdbench.engine.devices import choose_device
from kdbench.engine.memory import forget_peak, peak_memory
from kdbench.engine.precision import prepare_process
from kdbench.engine.stopping import Stopper
from kdbench.errors import Diverged, TryAgain, UserError
from kdbench.runs.crew import Crew
from kdbench.runs.data import run_data
from kdbench.runs.evaluation import run_evaluation
from kdbench.runs.imported import run_imported
from kdbench.runs.job import DamagedInput, Job, PhaseResult
from kdbench.runs.search import run_search
from kdbench.runs.training import run_training
from kdbench.store import disk
from kdbench.store.artifacts import (
    LOCK,
    discard_damaged,
    forget_checkpoints,
    locked,
    seal,
    sweep,
)
from kdbench.store.fingerprint import run_fingerprint
from kdbench.store.paths import CHECKPOINTS, Paths
from kdbench.store.record import read_record, write_record
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, SearchRun, SeededRun, StudentRun
from kdbench.store.teacher_runs import ComputingRun, DataRun, ImportedTeacher, TeacherRun
from kdbench.store.tracked import restore_artifacts

PHASES: dict[type[RunSpec], Callable[[Job[Any]], PhaseResult]] = {
    DataRun: run_data,
    TeacherRun: run_training,
    ImportedTeacher: run_imported,
    SearchRun: run_search,
    StudentRun: run_training,
    EvaluationRun: run_evaluation,
}
GIB = 2.0**30
# Of an origin, what computes nothing: its code, versions and device say what does.
NEVER_MIXED = ("started", "ranks", "commit", "dirty")
CLOCK = "the clock was set back during the run: `finished` lies before `started`"


@dataclass
class Options:
    """How to run, none of which changes a number.

    Attributes:
        max_minutes: stop with a checkpoint after so long.
        checkpoint_seconds: time between two checkpoints.
        say: prints one line.
        start_bar: see `kdbench.runs.job.Job`.
        crew: the processes that do it; this one alone by default.
    """

    max_minutes: float | None = None
    checkpoint_seconds: float = 60.0
    say: Callable[[str], None] = print
    start_bar: Callable[[str, int, int], Callable[[], None]] = lambda *_: lambda: None
    crew: Crew = field(default_factory=Crew)

    def stopper(self) -> Stopper:
        """What stops the work, from now on."""
        seconds = None if self.max_minutes is None else 60 * self.max_minutes
        stopper = Stopper(seconds, self.checkpoint_seconds)
        stopper.catch_sigterm()
        return stopper


def run(spec: RunSpec, paths: Paths, options: Options) -> None:
    """Make one run's record, and whatever it needs first; a finished run costs nothing.

    Raises:
        TryAgain: stopped before the end, with a checkpoint on disk.
        UserError: something the user can mend.
    """
    _make(spec, paths, options, options.stopper())


def run_all(specs: Iterable[RunSpec], paths: Paths, options: Options) -> int:
    """Make the records of all these runs, one after the other in this process.

    A run that fails is reported in one line; those that do not need it go on.

    Args:
        specs: what a run needs comes before it.
        paths: of the project.
        options: of all runs together.

    Returns:
        How many failed, or could not be tried.

    Raises:
        TryAgain: stopped before the end, with a checkpoint on disk.
    """
    stopper, failed = options.stopper(), set[str]()
    for spec in specs:
        if is_finished(spec, paths):
            continue
        attempt(spec, failed, options, partial(complete, spec, paths, options, stopper))
    return len(failed)


def is_finished(spec: RunSpec, paths: Paths) -> bool:
    """Whether a run has its record; what it left beside its artifacts is removed then."""
    finished = paths.record(spec).is_file()
    if finished:
        _tidy(spec, paths)
    return finished


def attempt(spec: RunSpec, failed: set[str], options: Options, make: Callable[[], None]) -> None:
    """Make a run; one that fails is reported in one line, and its digest joins `failed`.

    Raises:
        TryAgain: stopped before the end, with a checkpoint on disk.
    """
    lost = [u.title for u in spec.upstream.values() if u.digest in failed]
    try:
        if lost:
            raise UserError(f"it needs {lost[0]}")
        make()
    except TryAgain:
        raise
    except UserError as error:
        failed.add(spec.digest)
        options.say(f"{spec.title}: failed: {str(error).removeprefix(f'{spec.title}: ')}")
    except Exception as error:  # a mistake in one method must not take the others with it
        failed.add(spec.digest)
        traceback.print_exc()
        options.say(f"{spec.title}: failed: {type(error).__name__}: {error}")


def _make(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    if is_finished(spec, paths):
        options.say(f"{spec.title}: already done ({paths.record(spec)})")
        return
    complete(spec, paths, options, stopper)


def complete(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    """Execute a run after what it needs; an input that turns out damaged is pulled or made again.

    Raises:
        DamagedInput: an input that was mended is damaged again.
    """
    mended = set[str]()
    while True:
        for upstream in spec.upstream.values():
            provide(upstream, paths, options, stopper)
        try:
            return execute(spec, paths, options, stopper)
        except DamagedInput as damage:
            if damage.run.digest in mended:
                raise
            mended.add(damage.run.digest)
            options.say(f"{spec.title}: {damage}: mending it")
            mend(damage.run, paths, options, stopper)


def mend(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    """Put intact artifacts of a finished run in the place of damaged ones: pulled, or made again.

    DVC's copy is not used where it is damaged too.
    """
    folder = paths.artifacts(spec)
    discard_damaged(folder)
    if not paths.manifest(spec).is_file() and pull(spec, paths, options):
        discard_damaged(folder)
    if not paths.manifest(spec).is_file():
        complete(spec, paths, options, stopper)


def _tidy(spec: RunSpec, paths: Paths) -> None:
    """Remove what a process left that was killed just after it wrote the record."""
    folder = paths.artifacts(spec)
    left = any((folder / name).exists() for name in (*CHECKPOINTS, LOCK))
    if left and paths.manifest(spec).is_file():
        with locked(folder):
            sweep(folder, paths.record(spec))
            forget_checkpoints(folder)


def provide(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    """Make sure that a run's artifacts are on disk: use, pull, or rebuild them."""
    if paths.manifest(spec).is_file() and paths.record(spec).is_file():
        _tidy(spec, paths)
        return
    if paths.record(spec).is_file() and pull(spec, paths, options):
        return
    complete(spec, paths, options, stopper)


def pull(spec: RunSpec, paths: Paths, options: Options) -> bool:
    """Try to bring a finished run's artifacts from DVC's cache or remote."""
    with locked(paths.root / "results" / ".dvc-pull"):
        restored = restore_artifacts([paths.artifacts(spec)], paths, options.say)
    if restored:
        options.say(f"{spec.title}: artifacts brought back by DVC")
    return restored


def execute(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> None:
    """Run a phase, seal its artifacts, write its record; rebuilds keep the record they have."""
    folder, record = paths.artifacts(spec), paths.record(spec)
    with disk.plain_errors(folder, disk.RESUME), locked(folder), lanes.turn():
        if paths.manifest(spec).is_file() and record.is_file():
            forget_checkpoints(folder)
            return  # another job made it while this one waited
        sweep(folder, record)
        rebuilding = record.is_file()
        options.say(f"{spec.title}: {'rebuilding absent artifacts' if rebuilding else 'running'}")
        job = _job(spec, paths, options, stopper)
        device = job.computes_with.device if job.computes_with else torch.device("cpu")
        forget_peak(device)
        peak, begun = 0, time.perf_counter()
        try:
            result = _phase(job, options.crew)
        finally:
            paths.running(spec).unlink(missing_ok=True)
        for key in ("seconds", "wall_seconds"):
            result.cost.setdefault(key, time.perf_counter() - begun)
        manifest = seal(folder)
        if rebuilding:
            _compare(spec, paths, manifest, options)
        else:
            provenance = _provenance(job, result)
            result.cost["peak_memory_bytes"] = peak = peak_memory(device)
            if lanes.at_once() > 1:
                result.cost["together"] = lanes.at_once()
            write_record(record, _record(spec, result, provenance, manifest))
            paths.diverged(spec).unlink(missing_ok=True)
        forget_checkpoints(folder)
    if peak and isinstance(spec, ComputingRun):
        options.say(f"{spec.title}: peak memory {peak / GIB:.2f} GiB")
    options.say(f"{spec.title}: done")


def follow(graph_runs: Iterable[RunSpec], paths: Paths, options: Options) -> None:
    """Do what the first rank does of these runs and of what they need, and write nothing.

    Raises:
        UserError: this rank cannot, or another one is lost.
    """
    runs = {run.digest: run for planned in graph_runs for run in planned.with_upstream()}
    silent = Options(options.max_minutes, options.checkpoint_seconds, say=lambda line: None)
    stopper = silent.stopper()

    def work(run: RunSpec) -> None:
        job = _job(run, paths, silent, stopper)
        options.crew.together(job, PHASES[type(run)])

    options.crew.follow(runs, work)


def _job(spec: RunSpec, paths: Paths, options: Options, stopper: Stopper) -> Job[Any]:
    """A run in this process, on its device."""
    device, precision = torch.device("cpu"), None
    if isinstance(spec, ComputingRun):
        device = choose_device()
        precision = prepare_process(spec.runtime, device)
        if precision.warning:
            options.say(f"{spec.title}: {precision.warning}")
    origin = {
        **environment.describe_environment(device),
        "code": run_fingerprint(spec),
        "started": environment.now(),
        "ranks": options.crew.ranks.size,
    }
    return Job(spec, paths, stopper, options.start_bar, origin, precision, options.say)


def _record(
    spec: RunSpec, result: PhaseResult, provenance: dict[str, Any], manifest: dict[str, Any]
) -> dict[str, Any]:
    return {
        "spec": spec.as_dict(),
        "metrics": result.metrics,
        "curves": result.curves,
        "cost": result.cost,
        "provenance": provenance,
        "artifacts": manifest,
        "notes": [*result.notes, *provenance.pop("notes")],
        **result.extra,
    }


def _phase(job: Job[RunSpec], crew: Crew) -> PhaseResult:
    try:
        return crew.do(job, PHASES[type(job.spec)])
    except Diverged as error:
        content: dict[str, Any] = {"title": job.spec.title, "said": str(error)}
        content |= {"digest": job.spec.digest, "provenance": job.origin}
        write_record(job.paths.diverged(job.spec), content)  # an outcome too: reports say it
        raise Diverged(f"{job.spec.title}: {error}") from error


def _provenance(job: Job[RunSpec], result: PhaseResult) -> dict[str, Any]:
    """Where the numbers come from; of a resumed run, every process that had a part in it."""
    run, origins = job.spec, result.origins or [job.origin]
    runtime = run.runtime if isinstance(run, ComputingRun) else None
    parts = [{k: v for k, v in origin.items() if k not in NEVER_MIXED} for origin in origins]
    other = any(part != parts[0] for part in parts)
    named = other or any(origin.get("commit") != origins[0].get("commit") for origin in origins)
    sizes = [origin.get("ranks", 1) for origin in origins]
    several = len(set(sizes)) > 1
    notes = ["resumed under other code, versions or another device; see provenance.origins"]
    if several:
        in_turn = ", ".join(map(str, sizes))
        in_order = (
            f"made by other numbers of ranks in turn ({in_turn}): its bits are no other run's"
        )
        notes = [in_order, *(notes if other else [])]
    started, finished = origins[0]["started"], environment.now()
    return {
        **origins[-1],
        "started": started,
        "finished": finished,
        "threads": runtime and runtime.threads,
        "precision": runtime and runtime.precision,
        "seed": run.seed if isinstance(run, SeededRun) else None,
        "data_fingerprint": result.data_fingerprint,
        "inputs": job.input_digests(),
        "notes": [
            *job.inputs.notes,
            *(notes if several or other else []),
            *([CLOCK] if finished < started else []),
        ],
        **({"origins": origins} if several or named else {}),
    }


def _compare(spec: RunSpec, paths: Paths, manifest: dict[str, Any], options: Options) -> None:
    """Say whether rebuilt artifacts are, to the bit, those of the record."""
    recorded = read_record(paths.record(spec))["artifacts"]
    if recorded == manifest:
        options.say(f"{spec.title}: rebuilt, the same bytes as recorded")
        return
    options.say(
        f"{spec.title}: rebuilt, but not the same bytes as recorded (another machine or torch); "
        "the record stays as it was"
    )
