"""Which cells one job makes: where a run takes seconds, starting Python costs more than the run."""

from collections.abc import Iterator
from itertools import groupby

from kdbench.plan.graph import Graph
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import ranks_of

SHARED = ("data", "teacher", "search")  # what cells of one job have in common


class JobGroups:
    """The jobs of a plan's evaluations, as the records say when this is made.

    At scales with `cells_per_job` an evaluation's job makes the students of its cell too, and so
    it does for other cells of the same data set, ranks, teacher and searches. It is asked for the
    record of the last; the others are made on the way. A cell that was begun before, because it
    failed or was stopped, has a job of its own: what made it fail must not keep others from being
    made.

    Cells are dealt out before those that are done or begun are left out: a job that reads the plan
    anew, as those of a cluster do, finds itself the same while others come to their end.

    Args:
        graph: the plan.
        paths: of the project.
    """

    def __init__(self, graph: Graph, paths: Paths) -> None:
        self._paths = paths
        self._size = graph.scale.cells_per_job or 0
        self._by_last = {batch[-1].digest: batch for batch in self._groups(graph)}
        self._on_the_way = {s.digest for batch in self._by_last.values() for s in batch[:-1]}

    def of(self, spec: RunSpec) -> list[RunSpec]:
        """What the job makes that is asked for this run's record: this run is the last."""
        return self._by_last.get(spec.digest, [spec])

    def within(self, spec: RunSpec) -> bool:
        """Whether a run is a student that the job of its evaluation makes."""
        return bool(self._size) and spec.phase == "student"

    def asked(self, spec: RunSpec) -> bool:
        """Whether a job is asked for this run's record, which is not made on another's way."""
        return not self.within(spec) and spec.digest not in self._on_the_way

    def _groups(self, graph: Graph) -> Iterator[list[RunSpec]]:
        if not self._size:
            return
        cells = [run for run in graph.runs.values() if run.phase == "evaluation"]
        for _, group in groupby(sorted(cells, key=_order), key=_shared):
            alike = list(group)
            for start in range(0, len(alike), self._size):
                dealt = alike[start : start + self._size]
                fresh = [c for c in dealt if not self._done(c) and not self._begun(c)]
                if fresh:
                    yield fresh

    def _done(self, spec: RunSpec) -> bool:
        return self._paths.record(spec).is_file()

    def _begun(self, cell: RunSpec) -> bool:
        runs = [cell, *(run for run in cell.upstream.values() if self.within(run))]
        return any(self._paths.artifacts(r).is_dir() for r in runs if not self._done(r))


def _shared(cell: RunSpec) -> tuple[str, int, list[str]]:
    ranks = max(map(ranks_of, cell.upstream.values()))
    shared = sorted(r.digest for r in cell.with_upstream() if r.phase in SHARED)
    return cell.dataset, ranks, shared


def _order(cell: RunSpec) -> tuple[tuple[str, int, list[str]], str]:
    return _shared(cell), cell.digest
