"""The cost of unfinished runs: time, device hours, energy, memory and disk."""

import platform
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from kdbench.errors import BadValue, UnknownName
from kdbench.papers import all_claims, catalogue
from kdbench.plan.components import find_components
from kdbench.plan.custom_tables import custom_tables
from kdbench.plan.graph import Graph, load_graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, load_params
from kdbench.report.judgement.needed import needed
from kdbench.report.readings.records import Records
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import (
    EFFICIENCY,
    ComputingRun,
    DataRun,
    ranks_of,
    speed_up,
    synchronises,
)
from kdbench.store.timings import Timing, Timings
from kdbench.workflow.named import find_claim
from kdbench.workflow.schedule import Task, finish_time

if TYPE_CHECKING:
    from kdbench.runs.estimate.lengths import DataSize
    from kdbench.runs.estimate.measure import Budget, Measured

RECORD_BYTES = 25_000  # of a record with curves of 200 points, the most that one has
HOUR = 3600.0
Groups: TypeAlias = dict[str, list[RunSpec]]


@dataclass(frozen=True)
class Machine:
    """What the runs are thought to run on.

    Attributes:
        device: "cpu" or "cuda".
        places: cores, or GPUs.
        watts: of a core, or of a GPU; None where nobody said.
        watts_from: who said it.
        start_up: seconds in which a job's process starts.
        efficiency: share of the time that the ranks of a run compute, where it has several.
    """

    device: str
    places: int
    watts: float | None = None
    watts_from: str = ""
    start_up: float = 0.0
    efficiency: float = EFFICIENCY

    def held_by(self, run: RunSpec) -> int:
        """Places that a run holds: the threads of its ranks, or a GPU for each, at most all.

        Raises:
            BadValue: it needs more GPUs than there are, because each rank's norms see its images.
        """
        if self.device != "cpu" and ranks_of(run) > self.places and not synchronises(run):
            expected = f"at least {ranks_of(run)}, the ranks of {run.title}"
            raise BadValue("--gpus", self.places, expected)
        threads = run.runtime.threads if isinstance(run, ComputingRun) else 1
        return ranks_of(run) * (threads if self.device == "cpu" else 1)


@dataclass
class Cost:
    """What some runs cost, as far as they are not finished.

    Attributes:
        name: of an exhibit, or of the target.
        runs: how many there are.
        left: how many of them are not finished.
        steps: training steps left.
        macs: multiply-adds of these.
        device_seconds: of all runs one after the other, start-up included; None where nothing says.
        timed_seconds: those of `device_seconds` that were timed, or are set.
        wall_seconds: until the last run has ended, were nothing else to do.
        joules: a part of `device_seconds` at the machine's power; None where that is not known.
        memory: the largest of a run that was timed, in bytes.
        disk: bytes of what is left when all is done, and of the checkpoints meanwhile.
    """

    name: str
    runs: int
    left: int
    steps: int = 0
    macs: int = 0
    device_seconds: float | None = 0.0
    timed_seconds: float = 0.0
    wall_seconds: float | None = 0.0
    joules: float | None = 0.0
    memory: int | None = None
    disk: int = 0


@dataclass
class Estimate:
    """The costs of a target, and what they rest on.

    Attributes:
        rows: an exhibit each; a run that several share counts in each of them.
        total: every run once.
        machine: that the runs are thought to run on.
        measured: what was counted and timed.
        notes: what a reader should know, a sentence each.
    """

    rows: list[Cost]
    total: Cost
    machine: Machine
    measured: "Measured"
    notes: list[str] = field(default_factory=list)


def find_target(
    root: Path, overrides: Mapping[str, Any], target: str | None
) -> tuple[Graph, Groups]:
    """The plan that a target belongs to, and its runs by exhibit.

    Args:
        root: the project's folder.
        overrides: top-level keys of params.yaml to replace.
        target: an exhibit, a paper, "all", a claim, for the runs that it needs, or a run as
            `kdbench run` takes it; None for the exhibits of params.yaml.

    Raises:
        UserError: nothing is called so; or see `load_graph`.
    """
    if target is None:
        return _by_exhibit(load_graph(root, overrides))
    params = load_params(root / FILE, overrides)
    own = custom_tables(params, find_components(params.plugins))
    exhibits = {exhibit.id for exhibit in [*catalogue(), *own]}
    names = {*exhibits, *(name.partition("/")[0] for name in exhibits), "all"}
    if target in names:
        return _by_exhibit(load_graph(root, {**overrides, "exhibits": [target]}))
    if claim := find_claim(target):
        graph = load_graph(root, {**overrides, "exhibits": [*claim.exhibits]})
        return graph, {claim.id: [*needed(claim, graph, Records(Paths(root))).runs.values()]}
    graph = load_graph(root, overrides)
    try:
        run = graph.run(target)
    except UnknownName:
        claims = (claim.id for claim in all_claims())
        known = {*names, *claims, *(f"{spec.phase}/{spec.cell}" for spec in graph.runs.values())}
        where = f"{FILE} at scale {params.scale}"
        raise UnknownName("exhibit, paper, claim or run", target, known, where=where) from None
    return graph, {f"{run.phase}/{run.cell}": list(run.with_upstream())}


def _by_exhibit(graph: Graph) -> tuple[Graph, Groups]:
    groups: Groups = {}
    for exhibit in graph.exhibits:
        specs = {s.digest: s for target in graph.behind(exhibit) for s in target.with_upstream()}
        groups[exhibit.id] = list(specs.values())
    return graph, groups


def estimate(
    graph: Graph,
    groups: Groups,
    paths: Paths,
    machine: Machine,
    budget: "Budget",
    say: Callable[[str], None],
    count_on: str = "",
) -> Estimate:
    """Count and time unfinished runs, and schedule them on a machine.

    Args:
        graph: the plan.
        groups: runs by exhibit, see `find_target`.
        paths: of the project, of which nothing is changed.
        machine: that runs are thought to run on.
        budget: how long to time.
        say: told now and then how far it is.
        count_on: the device that computes here; by default the machine's.

    Raises:
        UserError: a run cannot be tried.
    """
    import torch

    from kdbench.runs.estimate.lengths import DataSize, data_size
    from kdbench.runs.estimate.measure import measure

    known: dict[str, DataSize] = {}

    def sizes(run: DataRun) -> "DataSize":
        if run.digest not in known:
            known[run.digest] = data_size(run, graph.components, paths)
        return known[run.digest]

    everything = {spec.digest: spec for specs in groups.values() for spec in specs}
    left = [spec for spec in everything.values() if not paths.record(spec).is_file()]
    device = torch.device(count_on or machine.device)
    measured = measure(left, sizes, paths, device, budget, say)
    count = _Counter(machine, measured, sizes, JobGroups(graph, paths), paths)
    rows = [count.cost(name, specs) for name, specs in groups.items()]
    return Estimate(rows, count.cost("total", everything.values()), machine, measured)


@dataclass
class _Counter:
    """Adds up the runs of an exhibit."""

    machine: Machine
    measured: "Measured"
    sizes: Callable[[DataRun], "DataSize"]
    job_groups: JobGroups
    paths: Paths

    def cost(self, name: str, specs: Iterable[RunSpec]) -> Cost:
        """What these runs cost."""
        runs = list(specs)
        left = [run for run in runs if not self.paths.record(run).is_file()]
        cost = Cost(name, len(runs), len(left))
        work = [self.measured.work[r.digest] for r in left if r.digest in self.measured.work]
        cost.steps = sum(one.steps for one in work)
        cost.macs = sum(one.macs for one in work)
        cost.memory = max((one.unit.memory or 0 for one in work), default=0) or None
        cost.disk = sum(one.artifact_bytes for one in work) + RECORD_BYTES * len(left)
        cost.disk += sum(self.sizes(run).bytes for run in left if isinstance(run, DataRun))
        checkpoints = sorted((one.checkpoint_bytes for one in work), reverse=True)
        cost.disk += sum(checkpoints[: self.machine.places])
        self._add_times(cost, left)
        return cost

    def _add_times(self, cost: Cost, left: list[RunSpec]) -> None:
        seconds = {run.digest: self.measured.seconds_of(run) for run in left}
        cost.timed_seconds = sum(timed for _, timed in seconds.values())
        if any(one is None for one, _ in seconds.values()):
            cost.device_seconds = cost.wall_seconds = cost.joules = None
            return
        faster = {run.digest: speed_up(run, self.machine.efficiency) for run in left}
        alone = {digest: (one or 0.0) for digest, (one, _) in seconds.items()}
        tasks = self._tasks(left, {digest: alone[digest] / faster[digest] for digest in alone})
        held = sum(task.seconds * task.places for task in tasks.values())
        starts = self.machine.start_up * len(tasks)
        several = {run.digest: ranks_of(run) for run in left}
        cost.device_seconds = starts + sum(
            alone[digest] / faster[digest] * several[digest] for digest in alone
        )
        cost.timed_seconds += starts
        cost.wall_seconds = finish_time(tasks, self.machine.places)
        cost.joules = None if self.machine.watts is None else held * self.machine.watts

    def _tasks(self, left: list[RunSpec], seconds: Mapping[str, float]) -> dict[Hashable, Task]:
        """The jobs of these runs: one each, or the cells that a process makes at scale smoke."""
        job_of: dict[str, str] = {}
        for run in left:
            if self.job_groups.asked(run):
                job_of |= {member.digest: run.digest for member in self.job_groups.of(run)}
        for run in left:  # students go with the evaluation that makes them
            for upstream in run.upstream.values():
                if self.job_groups.within(upstream):
                    job_of.setdefault(upstream.digest, job_of.get(run.digest, run.digest))
        jobs: dict[str, list[RunSpec]] = {}
        for run in left:
            jobs.setdefault(job_of.get(run.digest, run.digest), []).append(run)
        names = {run.digest: job for job, members in jobs.items() for run in members}
        return {
            job: Task(
                sum(seconds[run.digest] for run in members) + self.machine.start_up,
                max(self.machine.held_by(run) for run in members),
                {
                    names[upstream.digest]
                    for run in members
                    for upstream in run.upstream.values()
                    if names.get(upstream.digest, job) != job
                },
            )
            for job, members in jobs.items()
        }


def timings_of(estimate: Estimate, runs: Iterable[RunSpec], name: str) -> Timings:
    """What jobs will ask for: seconds of the runs, and on a CPU their memory.

    Args:
        estimate: of these runs, which were timed or scaled on one device.
        runs: those that are not finished.
        name: of the device.
    """
    measured, on_cpu = estimate.measured, estimate.machine.device == "cpu"
    timed: dict[str, Timing] = {}
    for run in runs:
        seconds, _ = measured.seconds_of(run)
        if seconds:  # data sets and imported teachers have none
            memory = measured.memory_of(run) if on_cpu else None
            timed[run.digest] = Timing(seconds=seconds, memory=memory)
    taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    device, node = estimate.machine.device, platform.node()
    return Timings(device=device, name=name, node=node, taken=taken, runs=timed)


def start_up_seconds(graph: Graph) -> float:
    """How long a job's process needs before its run; 0 where processes are forked, at scale smoke.

    Measured once, by starting one.
    """
    if graph.scale.cells_per_job:
        return 0.0
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import kdbench.runs.execute"], check=True)
    return time.perf_counter() - begun


def power_limit() -> float | None:
    """The power limit of the first GPU in watts, as nvidia-smi says it; None where it does not."""
    command = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return float(done.stdout.splitlines()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
