"""One run in progress: its specification, its folder, its device, and what it will say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from kdbench.data.stored.open import Stored, open_data
from kdbench.engine import ranks
from kdbench.engine.precision import Precision
from kdbench.engine.stopping import Stopper
from kdbench.errors import DamagedData
from kdbench.runs.progress import follow
from kdbench.store.artifacts import checked
from kdbench.store.canonical import digest_of
from kdbench.store.parts import Network
from kdbench.store.paths import Paths
from kdbench.store.prepared import changed_data
from kdbench.store.record import Seal, read_record, seal_of
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import DataRun

PREPARED = "prepared"
LAST = "last.safetensors"
BEST = "best.safetensors"
Spec = TypeVar("Spec", bound=RunSpec, covariant=True)


class DamagedInput(DamagedData):
    """Artifacts of an upstream run that are not what it wrote.

    Attributes:
        run: whose they are.
    """

    def __init__(self, run: RunSpec, damage: DamagedData) -> None:
        Exception.__init__(self, str(damage))
        self.run = run


@dataclass
class PhaseResult:
    """What a phase gives back; becomes the record's keys of the same names."""

    metrics: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[Any]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    origins: list[dict[str, Any]] = field(default_factory=list)
    data_fingerprint: str = ""


@dataclass
class Inputs:
    """The artifacts of finished runs, checked as they are read.

    Attributes:
        paths: of the project.
        digests: digest of the manifest of what was read, by the run's digest.
        notes: what a reader of the record should know about them.
    """

    paths: Paths
    digests: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def folder(self, run: RunSpec) -> Path:
        """The checked artifact folder of a run.

        Raises:
            DamagedInput: an artifact is missing or not what its run wrote.
        """
        folder = self.paths.artifacts(run)
        try:
            if not self.paths.manifest(run).is_file():
                advice = f"kdbench restore {run.digest} --scale {run.scale}"
                raise DamagedData(folder, "no artifacts", f"those of {run.title}", advice)
            manifest = checked(folder)
        except DamagedData as damage:
            raise DamagedInput(run, damage) from None
        self.digests[run.digest] = digest_of(manifest)
        record = read_record(self.paths.record(run))
        if seal_of(record) is Seal.BROKEN:
            self._note(f"the record of {run.title} {Seal.BROKEN.value}")
        if manifest != record["artifacts"]:
            self._note(f"the artifacts of {run.title} were made again and differ from its record's")
        return folder

    def encoder(self, network: Network) -> Path | None:
        """The file of the weights that a network's encoder starts from; None for fresh ones."""
        return self.paths.encoder(network.encoder) if network.encoder else None

    def _note(self, sentence: str) -> None:
        self.notes += [] if sentence in self.notes else [sentence]

    def data(self, run: DataRun) -> Stored:
        """The prepared data set of a run of the data phase.

        Raises:
            DamagedData: the data set was prepared again from other images since.
        """
        folder = self.folder(run)
        self._check_source(run)
        return open_data(folder / PREPARED)

    def _check_source(self, run: DataRun) -> None:
        """Refuse a copy whose source in `data/` holds other images by now: tables would mix both.

        Raises:
            DamagedData: it does; the line says how to go on with either.
        """
        record = self.paths.record(run)
        if change := changed_data(run, read_record(record), self.paths):
            raise DamagedData(
                change.source,
                f"fingerprint {change.current}",
                f"{change.used}, as in {record}",
                change.advice,
            )


@dataclass
class Job(Generic[Spec]):
    """Everything a phase needs from outside.

    Attributes:
        spec: what to run.
        paths: the project's folder.
        stopper: when to save or stop.
        start_bar: called with a title and a number of steps; returns a function to call a step.
        origin: commit, code, versions, device and start of this process.
        computes_with: number format and device of a phase that computes.
        say: prints one line.
        inputs: reads what upstream runs left.
    """

    spec: Spec
    paths: Paths
    stopper: Stopper
    start_bar: Callable[[str, int, int], Callable[[], None]]
    origin: dict[str, Any] = field(default_factory=dict)
    computes_with: Precision | None = None
    say: Callable[[str], None] = print

    def __post_init__(self) -> None:
        self.inputs = Inputs(self.paths)

    @property
    def precision(self) -> Precision:
        """Number format and device of a phase that computes."""
        if self.computes_with is None:
            raise TypeError(f"{self.spec.title}: this phase computes nothing")
        return self.computes_with

    @property
    def folder(self) -> Path:
        """Where this run's artifacts go."""
        return self.paths.artifacts(self.spec)

    def follow(
        self, total: int, done: int, curves: Mapping[str, Sequence[float]]
    ) -> Callable[[], None]:
        """Show how far the run is, by a bar and for `kdbench watch`; returns what a step calls.

        Args:
            total: steps that there are.
            done: those that are done.
            curves: values by name, to which the training adds as it goes.
        """
        if not ranks.is_first():
            return lambda: None
        bar = self.start_bar(self.spec.title, total, done)
        file = self.paths.running(self.spec)
        device = str(self.origin.get("device", ""))
        return follow(self.spec, file, device, bar, total=total, done=done, curves=curves)

    def input_digests(self) -> dict[str, str]:
        """Digest of the artifacts that were read, by role."""
        upstream = self.spec.upstream.items()
        return {
            r: self.inputs.digests[u.digest] for r, u in upstream if u.digest in self.inputs.digests
        }
