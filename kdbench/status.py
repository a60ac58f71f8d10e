"""What exists, what is missing, and what was made by older code."""

from collections import Counter
from collections.abc import Iterator

from kdbench.plan.exhibits import Exhibit
from kdbench.plan.fingerprint import run_fingerprint
from kdbench.plan.graph import Graph, ordered
from kdbench.plan.paths import Paths
from kdbench.plan.record import read_record
from kdbench.plan.spec import PHASES, RunSpec


def state(spec: RunSpec, paths: Paths) -> str:
    """One of: done, done (by older code), begun, to do."""
    if paths.record(spec).is_file():
        made_by = read_record(paths.record(spec))["provenance"]["code"]
        return "done" if made_by == run_fingerprint(spec) else "done, by older code"
    return "begun" if (paths.artifacts(spec) / "checkpoint.pt").is_file() else "to do"


def describe(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line an exhibit, then one a phase."""
    yield f"scale {graph.params.scale}"
    for exhibit in graph.exhibits:
        specs = _runs_of(exhibit, graph)
        done = sum(paths.record(spec).is_file() for spec in specs.values())
        yield f"  {exhibit.id:20} {done:4} of {len(specs):4} runs  {exhibit.title}"
    for phase in PHASES:
        states = Counter(state(s, paths) for s in graph.runs.values() if s.phase == phase)
        if states:
            found = ", ".join(f"{n} {name}" for name, n in sorted(states.items()))
            yield f"  {phase:20} {found}"


def list_runs(graph: Graph, paths: Paths) -> Iterator[str]:
    """One line a run."""
    for spec in ordered(graph.runs):
        yield f"{spec.digest}  {spec.phase:10}  {state(spec, paths):20}  {spec.dataset} {spec.cell}"


def _runs_of(exhibit: Exhibit, graph: Graph) -> dict[str, RunSpec]:
    targets = [c.evaluation for c in graph.cells.get(exhibit.id, []) if c.evaluation]
    targets += [graph.searches[exhibit.id]] if exhibit.id in graph.searches else []
    return {spec.digest: spec for target in targets for spec in target.with_upstream()}
