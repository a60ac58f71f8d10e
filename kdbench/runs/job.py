"""One run in progress: its specification, its folder, its device, and what it will say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.data.stored.open import Stored, open_data
from kdbench.engine.precision import Precision
from kdbench.engine.stopping import Stopper
from kdbench.errors import DamagedData
from kdbench.exhibits.recipe import Recipe
from kdbench.store.artifacts import checked
from kdbench.store.paths import Paths
from kdbench.store.record import read_record
from kdbench.store.spec import RunSpec, digest_of

PREPARED = "prepared"
LAST = "last.safetensors"
BEST = "best.safetensors"


@dataclass
class Outcome:
    """What a phase found; becomes the record's keys of the same names."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[Any]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    origins: list[dict[str, Any]] = field(default_factory=list)
    data_fingerprint: str = ""


@dataclass
class Job:
    """Everything a phase needs from outside.

    Attributes:
        spec: what to run.
        paths: the project's folder.
        precision: number format and device.
        stopper: when to save or stop.
        start_bar: called with a title and a number of steps; returns a function to call a step.
        origin: commit, code, versions, device and start of this process.
        inputs: digest of the artifacts that were read, by role.
        notes: what a reader of the record should know about them.
    """

    spec: RunSpec
    paths: Paths
    precision: Precision  # of a phase that computes
    stopper: Stopper
    start_bar: Callable[[str, int, int], Callable[[], None]]
    origin: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where this run's heavy files go."""
        return self.paths.artifacts(self.spec)

    @property
    def seed(self) -> int:
        """The run's one seed."""
        return int(self.spec.params["seed"])

    @property
    def recipe(self) -> Recipe:
        """The run's protocol."""
        return Recipe.from_dict(self.spec.params["recipe"])

    def upstream(self, role: str) -> Path:
        """The checked artifact folder of a run that this one depends on.

        Raises:
            DamagedData: an artifact is missing or not what its run wrote.
        """
        spec = self.spec.upstream[role]
        folder = self.paths.artifacts(spec)
        if not self.paths.manifest(spec).is_file():
            advice = f"kdbench restore {spec.digest}"
            raise DamagedData(folder, "no artifacts", f"those of {spec.title}", advice)
        manifest = checked(folder)
        self.inputs[role] = digest_of(manifest)
        if manifest != read_record(self.paths.record(spec))["artifacts"]:
            note = f"the artifacts of {spec.title} were made again and differ from its record's"
            self.notes += [] if note in self.notes else [note]
        return folder

    def data(self) -> Stored:
        """The prepared data set that this run reads."""
        return open_data(self.upstream("data") / PREPARED)
