"""What a job waits for: as few files as say it, because planning looks at every one."""

from collections.abc import Iterator
from pathlib import Path

from kdbench.plan.job_groups import JobGroups
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec


class JobInputs:
    """Inputs of the jobs of a plan.

    Args:
        job_groups: which runs one job makes.
        paths: of the project.
    """

    def __init__(self, job_groups: JobGroups, paths: Paths) -> None:
        self._job_groups = job_groups
        self._paths = paths
        self._records = dict[str, Path]()
        self._known = dict[str, frozenset[str]]()  # digests behind a run

    def of(self, spec: RunSpec) -> list[str]:
        """Inputs of one job: records to be made, or artifacts that must be restored for it first.

        A finished run needs nothing, so that one which is made again takes no others with it. Nor
        is a record an input that another input's job waits for: of a student that is distilled by
        a search's scheme it is the search, not the teacher and the data.
        """
        if self.done(spec):
            return []
        needed = {
            run.digest: run for one in self._job_groups.of(spec) for run in self._upstream(one)
        }
        made = {digest for digest, run in needed.items() if not self.done(run)}
        behind = set[str]().union(*(self._behind(needed[digest]) for digest in made))
        return [
            self.record(run) if digest in made else str(self._paths.manifest(run))
            for digest, run in needed.items()
            if digest not in made & behind and (digest in made or not self._has_artifacts(run))
        ]

    def record(self, spec: RunSpec) -> str:
        """The path of a run's record."""
        return str(self._record(spec))

    def done(self, spec: RunSpec) -> bool:
        """Whether a run is finished at this moment."""
        return self._record(spec).is_file()

    def _record(self, spec: RunSpec) -> Path:
        if spec.digest not in self._records:
            self._records[spec.digest] = self._paths.record(spec)
        return self._records[spec.digest]

    def _behind(self, spec: RunSpec) -> frozenset[str]:
        """Digests of all runs that a run depends on."""
        if spec.digest not in self._known:
            above = [self._behind(run) | {run.digest} for run in spec.upstream.values()]
            self._known[spec.digest] = frozenset().union(*above)
        return self._known[spec.digest]

    def _has_artifacts(self, spec: RunSpec) -> bool:
        return self._paths.manifest(spec).is_file()

    def _upstream(self, spec: RunSpec) -> Iterator[RunSpec]:
        """Runs before a job: also what its own students need, if it makes them too."""
        for upstream in spec.upstream.values():
            if self._job_groups.within(upstream) and not self.done(upstream):
                yield from self._upstream(upstream)
            else:
                yield upstream
