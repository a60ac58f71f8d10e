"""What exists, what is missing, and what was made by older code."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kdbench.errors import DamagedData
from kdbench.exhibits.tables import Exhibit
from kdbench.plan.graph import Graph, ordered
from kdbench.store.fingerprint import is_todays_code
from kdbench.store.paths import CHECKPOINT, PREVIOUS, Paths
from kdbench.store.prepared import stale
from kdbench.store.record import MEND, Seal, read_record, seal_of
from kdbench.store.spec import PHASES, RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import ImportedTeacher, TeacherRun
from kdbench.workflow.added_rows import added_lines
from kdbench.workflow.left_out import lacking_searches, lacks_data, left_out, what_it_lacks
from kdbench.workflow.named import to_plan
from kdbench.workflow.unused_settings import unused_settings

OLDER = "done, by older code"
ALTERED = "done, altered since"


def state(spec: RunSpec, paths: Paths) -> str:
    """One of: done, done (by older code, or altered since), diverged, begun, to do.

    Raises:
        DamagedData: the record is damaged, or another run's.
    """
    if paths.record(spec).is_file():
        return _finished(spec, paths)[0]
    if paths.diverged(spec).is_file():
        return "diverged"
    checkpoints = (paths.artifacts(spec) / name for name in (CHECKPOINT, PREVIOUS))
    return "begun" if any(file.is_file() for file in checkpoints) else "to do"


def _finished(spec: RunSpec, paths: Paths) -> tuple[str, Seal]:
    """The state of a run that has a record, and that record's seal."""
    record = _record_of(spec, paths)
    seal = seal_of(record)
    if seal is Seal.BROKEN:
        return ALTERED, seal
    return "done" if is_todays_code(record["provenance"]["code"], spec) else OLDER, seal


def describe(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line per exhibit, then one per phase."""
    yield f"scale {graph.params.scale}"
    wide = max((20, *(len(exhibit.id) for exhibit in graph.exhibits)))
    for exhibit in graph.exhibits:
        yield _line(exhibit, _runs_of(exhibit, graph), paths, wide)
    states = _states(graph.runs.values(), paths)
    yield from _phases(states)
    older = sum(counts[OLDER] for counts in states.values())
    yield from _seals(graph, paths)
    yield from (f"  {line}" for line in _stale(graph, paths))
    yield from (f"  {line}" for line in left_out(graph))
    yield from (f"  {line}" for line in unused_settings(graph))
    yield from (f"  {line}" for line in added_lines(graph, paths))
    yield from (f"  {line}" for line in absent_teachers(graph, paths))
    yield from (f"  {line}" for line in absent_encoders(graph, paths))
    if older:
        yield f"  {older} done by older code count as done; kdbench redo NAME makes one again"


def describe_exhibit(
    exhibit: Exhibit, graph: Graph, paths: Paths, *, runs: bool = False
) -> Iterator[str]:
    """What is done of one exhibit: one line, then one per phase; on request one per run too.

    Raises:
        DamagedData: a record is damaged, or another run's.
    """
    yield f"scale {graph.params.scale}"
    if exhibit.id not in [planned.id for planned in graph.exhibits]:
        yield f"  {exhibit.id} is not planned"
        if lacks_data(exhibit, graph):
            yield f"  {what_it_lacks(exhibit, graph)}"
        if exhibit.id not in graph.params.exhibits:
            yield to_plan([exhibit.id], graph)
        return
    specs = _runs_of(exhibit, graph)
    yield _line(exhibit, specs, paths, 20)
    yield from _phases(_states(specs.values(), paths))
    yield from (f"  {line}" for line in lacking_searches(exhibit, graph))
    if runs:
        yield from (_run_line(spec, paths) for spec in ordered(specs))
    elif specs:
        yield f"  kdbench status {exhibit.id} --runs lists them, kdbench why {exhibit.id} its cells"


def _line(exhibit: Exhibit, specs: Mapping[str, RunSpec], paths: Paths, wide: int) -> str:
    """How many runs of an exhibit are done."""
    if not specs:
        return f"  {exhibit.id:{wide}} left out by the filters of params.yaml  {exhibit.title}"
    done = sum(paths.record(spec).is_file() for spec in specs.values())
    return f"  {exhibit.id:{wide}} {done:4} of {len(specs):4} runs  {exhibit.title}"


def _states(runs: Iterable[RunSpec], paths: Paths) -> dict[str, Counter[str]]:
    """By phase, how many runs are in which state."""
    states = {phase: Counter[str]() for phase in PHASES}
    for run in runs:
        states[run.phase][state(run, paths)] += 1
    return states


def _phases(states: Mapping[str, Counter[str]]) -> Iterator[str]:
    """A line per phase that has runs."""
    for phase, counts in states.items():
        if counts:
            yield f"  {phase:20} {', '.join(f'{n} {name}' for name, n in sorted(counts.items()))}"


def list_runs(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line per run."""
    yield from (_run_line(spec, paths) for spec in ordered(graph.runs))


def _run_line(spec: RunSpec, paths: Paths) -> str:
    return f"{spec.digest}  {spec.phase:10}  {state(spec, paths):20}  {spec.dataset} {spec.cell}"


def absent_teachers(graph: Graph, paths: Paths) -> list[str]:
    """One line for every imported teacher that a run of the plan needs and that is not here."""
    imported = (run for run in graph.runs.values() if isinstance(run, ImportedTeacher))
    return list(
        dict.fromkeys(
            f"teachers, {run.dataset}/{run.network.name}: no file "
            f"{paths.checkpoint(run.checkpoint)}; kdbench teacher import makes it"
            for run in imported
            if not paths.checkpoint(run.checkpoint).is_file() and not paths.record(run).is_file()
        )
    )


def absent_encoders(graph: Graph, paths: Paths) -> list[str]:
    """One line for every encoder's weights that a run of the plan starts from and that is not here.

    Finished runs need them no more.
    """
    left = (run for run in graph.runs.values() if not paths.record(run).is_file())
    started = (
        run.network if isinstance(run, TeacherRun) else run.student
        for run in left
        if isinstance(run, TeacherRun | SearchRun | StudentRun)
    )
    return list(
        dict.fromkeys(
            f"encoders, {network.name}: no file {paths.encoder(network.encoder)}; "
            "kdbench encoder import makes it"
            for network in started
            if network.encoder and not paths.encoder(network.encoder).is_file()
        )
    )


def _seals(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line for every record that was changed after its run, one for all without a seal."""
    unsealed = 0
    for spec in graph.runs.values():
        if paths.record(spec).is_file():
            seal = _finished(spec, paths)[1]
            unsealed += seal is Seal.ABSENT
            if seal is Seal.BROKEN:
                yield f"  {paths.record(spec)} {seal.value}; {MEND}"
    if unsealed:
        records = "record is" if unsealed == 1 else "records are"
        yield f"  {unsealed} {records} {Seal.ABSENT.value}, which would show a change after the run"


def _stale(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line for every data set whose finished runs saw other images than it holds now."""
    finished = (spec for spec in graph.runs.values() if paths.record(spec).is_file())
    return stale(((spec, _record_of(spec, paths)) for spec in finished), paths)


def _record_of(spec: RunSpec, paths: Paths) -> dict[str, Any]:
    """The record of a run, which says by which code it was made."""
    path = paths.record(spec)
    record = read_record(path)
    try:
        digest, code = record["spec"]["digest"], record["provenance"]["code"]
    except (KeyError, TypeError):
        digest, code = None, None
    if digest != spec.digest or not isinstance(code, str):
        owner = "no run's record" if digest is None else f"the record of run {digest}"
        if digest == spec.digest:
            owner = f"the code {code!r} in the record of run {digest}"
        advice = "delete the file and run again"
        raise DamagedData(path, owner, f"the record of run {spec.digest}", advice)
    return record


def _runs_of(exhibit: Exhibit, graph: Graph) -> dict[str, RunSpec]:
    targets = graph.behind(exhibit)
    return {spec.digest: spec for target in targets for spec in target.with_upstream()}
