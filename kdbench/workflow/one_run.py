"""What `kdbench status NAME` says of one run, and which runs are at work now."""

import json
import shlex
import time
from collections.abc import Iterator

from kdbench.plan.graph import Graph
from kdbench.plan.params import FILE, changed_keys
from kdbench.store.artifacts import LOCK
from kdbench.store.locks import is_held
from kdbench.store.paths import Paths
from kdbench.store.running import read_running
from kdbench.store.spec import RunSpec
from kdbench.workflow.status import state


def at_work(graph: Graph, paths: Paths) -> Iterator[tuple[RunSpec, str]]:
    """Runs of the plan in progress, with their progress if they report it.

    Trainings and searches renew a file as they go (`kdbench watch` shows it whole); of the others,
    such as evaluations, the locked folder tells.
    """
    progress = {one.digest: one for one in read_running(paths.all_running(graph.scale.name))}
    for run in graph.runs.values():
        if run.digest in progress:
            from kdbench.workflow.watch import how_far  # loads what pages are made with

            yield run, how_far(progress[run.digest], time.time()).strip()
        elif is_held(paths.artifacts(run) / LOCK):
            yield run, "its folder is locked"


def describe_run(run: RunSpec, graph: Graph, paths: Paths) -> Iterator[str]:
    """State of one run, of what it reads, where it is shown, and the command that makes it; lines.

    Raises:
        DamagedData: a record is damaged, or another run's.
    """
    working = {one.digest: line for one, line in at_work(graph, paths)}
    now = f", at work now: {working[run.digest]}" if run.digest in working else ""
    yield f"{run.digest}  {run.title}: {state(run, paths)}{now}"
    yield f"  record: {paths.record(run)}"
    for role, upstream in run.upstream.items():
        manifest = paths.manifest(upstream).is_file() or upstream.phase == "evaluation"
        absent = "" if manifest else ", its artifacts are not here"
        now = f"{state(upstream, paths)}{absent}"
        yield f"  reads {role}: {upstream.title} ({upstream.digest}), {now}"
    shown = [e.id for e in graph.exhibits if run.digest in {r.digest for r in graph.behind(e)}]
    behind = [
        exhibit.id
        for exhibit in graph.exhibits
        if exhibit.id not in shown
        and any(run in target.with_upstream() for target in graph.behind(exhibit))
    ]
    yield from ([f"  shown in: {', '.join(shown)}"] if shown else [])
    yield from ([f"  behind: {', '.join(behind)}"] if behind else [])
    yield f"  to make it with all that it needs: kdbench run {run.digest} {_options(graph, paths)}"


def _options(graph: Graph, paths: Paths) -> str:
    """The options that give the same plan."""
    changed = changed_keys(graph.params, paths.root / FILE)
    others = {key: value for key, value in changed.items() if key != "scale"}
    override = f" --override {shlex.quote(json.dumps(others))}" if others else ""
    return f"--scale {graph.scale.name}{override}"
