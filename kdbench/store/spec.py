"""Run specifications: everything that may change a run's numbers, and nothing else."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from kdbench.exhibits.tasks import CLASSIFICATION
from kdbench.store.canonical import canonical, digest_of

PHASES = ("data", "teacher", "search", "student", "evaluation")

# Raised by hand when the arithmetic of the training loop, the optimiser's use, the augmentation
# or the evaluation changes; a rise makes every run a new one.
ENGINE_REVISION = 1

# The same for how a pruned student takes the channels that it reads; pruned students alone have it
# in their digests. 2: the memory format is kept, which rounds otherwise.
PRUNING_REVISION = 2

# The same for how training images are held out; runs that hold some out alone have it in their
# digests. 2: images of equal pixels are on one side.
SPLIT_REVISION = 2

# The same for how several teachers are taken together; runs that have several alone have it in
# their digests.
TEACHERS_REVISION = 1


@dataclass(frozen=True, kw_only=True)
class RunSpec(ABC):
    """One run; `teacher_runs.py` and `student_runs.py` have a subclass per phase.

    Device, workers and folders are absent on purpose: none may change a result by more than
    rounding. The record says which ones were used. CPU threads and precision are in the
    specification, because they do change bits.

    Attributes:
        phase: one of `PHASES`.
        scale, dataset, cell: the place of the run; `cell` is a readable name.
        revisions: revision of every component whose arithmetic the run uses.
        task: what is learned, see `kdbench.exhibits.tasks`; the default is in no digest, so that
            records made before there were others keep their names.
    """

    phase: ClassVar[str]
    scale: str
    dataset: str
    cell: str
    revisions: Mapping[str, int | str]
    task: str = CLASSIFICATION

    @property
    @abstractmethod
    def upstream(self) -> dict[str, "RunSpec"]:
        """Runs whose artifacts this one reads, by role ("data", "teacher", ...)."""

    @abstractmethod
    def _parameters(self, *, identity: bool) -> dict[str, Any]:
        """Resolved parameters as JSON values: what the digest is made of, or what records hold."""

    @property
    def modules(self) -> list[str]:
        """Where the code of the run's components lies: dotted names, paths of plug-ins."""
        return []

    @property
    def protocol(self) -> str:
        """The name of the run's training protocol; "" for a run that trains nothing."""
        return ""

    @cached_property
    def digest(self) -> str:
        """Name of the run's content: {parameters, upstream digests, revisions}."""
        return digest_of(
            {
                "phase": self.phase,
                "dataset": self.dataset,
                "params": self._parameters(identity=True) | self._task(),
                "revisions": self.revisions,
                "upstream": {role: spec.digest for role, spec in self.upstream.items()},
            }
        )

    def _task(self) -> dict[str, str]:
        return {} if self.task == CLASSIFICATION else {"task": self.task}

    @property
    def title(self) -> str:
        """For logs and progress bars."""
        return f"{self.phase} {self.dataset} {self.cell}"

    def with_upstream(self) -> Iterator["RunSpec"]:
        """This run after all that it depends on, each once, dependencies first."""
        seen: set[str] = set()

        def visit(spec: RunSpec) -> Iterator[RunSpec]:
            if spec.digest in seen:
                return
            seen.add(spec.digest)
            for upstream in spec.upstream.values():
                yield from visit(upstream)
            yield spec

        yield from visit(self)

    def as_dict(self) -> dict[str, Any]:
        """JSON form, as records hold it; upstream runs by digest."""
        return {
            "scale": self.scale,
            "phase": self.phase,
            "dataset": self.dataset,
            "cell": self.cell,
            "digest": self.digest,
            "params": json.loads(canonical(self._parameters(identity=False) | self._task())),
            "revisions": json.loads(canonical(self.revisions)),
            "upstream": {role: spec.digest for role, spec in self.upstream.items()},
        }
