"""Kinds of work: runs that do the same steps, of which one is tried for all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from kdbench.runs.estimate.lengths import DataSize, FitRun, Length, length_of
from kdbench.store.canonical import canonical
from kdbench.store.parts import Network
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, MeasuredRun, SearchRun, StudentRun
from kdbench.store.teacher_runs import DataRun, TeacherRun

Sizes: TypeAlias = Callable[[DataRun], DataSize]
Family: TypeAlias = tuple[str, ...]


@dataclass
class Kind:
    """Trainings or searches of equal work.

    Attributes:
        run: one of them.
        length: of each of them.
        runs: how many there are.
    """

    run: FitRun
    length: Length
    runs: int = 0

    @property
    def name(self) -> str:
        """What a reader knows it by."""
        run = self.run
        what = {"search": "search", "student": "method"}.get(run.phase)
        part = getattr(run, what).name if what else ""
        names = [network.name for network in networks_of(run)]
        return " ".join(filter(None, [run.phase, run.dataset, ":".join(reversed(names)), part]))

    @property
    def families(self) -> list[Family]:
        """What it has in common with others, the closest first: throughput is taken from these."""
        families = [network.class_name for network in networks_of(self.run)]
        return [(self.run.phase, *families), (families[0],), (self.run.phase,), ()]


def networks_of(run: FitRun) -> list[Network]:
    """The networks that a run computes with, the one that is trained first."""
    if isinstance(run, TeacherRun):
        return [run.network]
    return [run.student, *(teacher.network for teacher in run.teachers)]


def kinds_of(runs: Iterable[RunSpec], sizes: Sizes) -> dict[str, Kind]:
    """The kinds of work among trainings and searches, by the digest of every run."""
    kinds: dict[str, Kind] = {}
    by_run = {}
    for run in runs:
        if isinstance(run, TeacherRun | SearchRun | StudentRun):
            size = sizes(run.data)
            length = length_of(run, size)
            kind = kinds.setdefault(_key(run, size, length), Kind(run, length))
            kind.runs += 1
            by_run[run.digest] = kind
    return by_run


def _key(run: FitRun, size: DataSize, length: Length) -> str:
    """What a step's work depends on; seeds and rates apart."""
    parts = [network.identity() for network in networks_of(run)]
    upstream: list[SearchRun | None] = []
    if isinstance(run, StudentRun):
        parts.append(run.method.identity())
        upstream = [run.structure, *run.schemes]
    if isinstance(run, SearchRun):
        parts.append(run.search.identity())
        upstream = [run.base]
    recipe = run.recipe
    shape = [size.image, size.classes, size.counts["train"], recipe.batch, recipe.augment]
    shape.append(recipe.modality)
    long = [length.epochs, length.steps, length.looks, length.measured]
    found = [search and search.digest for search in upstream]
    return canonical([run.phase, parts, shape, long, found, run.runtime.as_dict()])


@dataclass
class Forward:
    """Forward passes of one network on images of one size, without gradients.

    Attributes:
        key: tells it from others.
        run: one whose network it is.
        size: of its data.
        images: how many images pass in all unfinished runs.
    """

    key: str
    run: MeasuredRun
    size: DataSize
    images: int = 0

    @property
    def name(self) -> str:
        """What a reader knows it by."""
        return f"evaluation {self.run.dataset} {self.run.trained.name}"

    @property
    def families(self) -> list[Family]:
        """As for a `Kind`."""
        return [("forward", self.run.trained.class_name), ("forward",), ()]


@dataclass
class Forwards:
    """All forward passes of a plan, by network and size."""

    sizes: Sizes
    by_key: dict[str, Forward] = field(default_factory=dict)

    def of(self, run: MeasuredRun) -> Forward:
        """The passes of a run's network."""
        size = self.sizes(run.data)
        pruned = run.structure.digest if run.structure else ""
        parts = [run.trained.identity(), pruned, size.image, size.classes, run.runtime.as_dict()]
        key = canonical([*parts, run.recipe.view, run.recipe.modality])
        return self.by_key.setdefault(key, Forward(key, run, size))

    def images_of(self, run: RunSpec) -> list[tuple[Forward, int]]:
        """Which networks a run measures, each on how many images.

        An evaluation measures the last weights and the best, which are often the same: at most.
        """
        if isinstance(run, TeacherRun | StudentRun):
            length = length_of(run, self.sizes(run.data))
            return [(self.of(run), length.looks * length.measured)]
        if not isinstance(run, EvaluationRun):
            return []
        counts = self.sizes(run.data).counts
        held = round(counts["train"] * run.tuning_holdout)
        return [(self.of(one), 2 * (held or counts["test"])) for one in run.runs]
