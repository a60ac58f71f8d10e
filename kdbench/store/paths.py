"""Where everything lies. The only file that spells results/ and reports/."""

from dataclasses import dataclass
from pathlib import Path

from kdbench.store.place import Place
from kdbench.store.spec import RunSpec

RESULTS = "results"
RECORD = "results/{scale}/records/{phase}/{dataset}/{cell}.{digest}.json"
ARTIFACTS = "results/{scale}/artifacts/{phase}/{dataset}/{cell}.{digest}"
DIVERGED = "results/{scale}/diverged/{phase}/{dataset}/{cell}.{digest}.json"
RUNNING = "results/{scale}/running/{phase}/{dataset}/{cell}.{digest}.json"
EVENT_FILES = "results/{scale}/tensorboard"
TRACKED = "results/{scale}/tracked/{phase}/{dataset}"
MANIFEST = "artifacts.json"
# In a run's folder of artifacts while it trains: the last, the one before, and one that is damaged.
CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
DAMAGED = "checkpoint.damaged.pt"
CHECKPOINTS = (CHECKPOINT, PREVIOUS, DAMAGED)
REDONE = "results/{scale}/redo"  # beside a finished run, the same run made again
REPORT_RECORD = "results/{scale}/records/report/{dataset}.{digest}.json"
REPORT = "reports/{scale}"
TIMINGS = "results/timings.json"
OWN_REPORT = f"{REPORT}/own"


def _fill(pattern: str, spec: RunSpec | Place) -> str:
    return pattern.format(
        scale=spec.scale,
        phase=spec.phase,
        dataset=spec.dataset,
        cell=spec.cell,
        digest=spec.digest,
    )


@dataclass(frozen=True)
class Paths:
    """Paths of one project folder."""

    root: Path = Path()

    def record(self, spec: RunSpec | Place) -> Path:
        """The small JSON that says what a finished run found."""
        return self.root / _fill(RECORD, spec)

    def diverged(self, spec: RunSpec | Place) -> Path:
        """Says of a run without a record that its loss was not finite, and where that was."""
        return self.root / _fill(DIVERGED, spec)

    def running(self, spec: RunSpec) -> Path:
        """How far a run is that trains at this moment; see `store/running.py`."""
        return self.root / _fill(RUNNING, spec)

    def all_running(self, scale: str) -> Path:
        """The folder of all such files."""
        return self.root / RUNNING.partition("/{phase}")[0].format(scale=scale)

    def event_files(self, scale: str) -> Path:
        """The folder of TensorBoard's event files, which `kdbench watch` writes."""
        return self.root / EVENT_FILES.format(scale=scale)

    def artifacts(self, spec: RunSpec | Place) -> Path:
        """The folder of the run's artifacts and of its checkpoint."""
        return self.root / _fill(ARTIFACTS, spec)

    def manifest(self, spec: RunSpec | Place) -> Path:
        """Lists the finished artifacts with their checksums; present only when all are."""
        return self.artifacts(spec) / MANIFEST

    def folders(self, scale: str, phase: str, dataset: str) -> tuple[Path, Path]:
        """The folders of all records, and of all artifacts, of one phase and data set."""
        parts = {"scale": scale, "phase": phase, "dataset": dataset}
        pattern = RECORD.rpartition("/")[0], ARTIFACTS.rpartition("/")[0]
        return self.root / pattern[0].format(**parts), self.root / pattern[1].format(**parts)

    @property
    def results(self) -> Path:
        """The folder of all records and artifacts, of every scale."""
        return self.root / RESULTS

    def recorded(self) -> list[tuple[str, str, str]]:
        """Scale, phase and data set of every folder of records."""
        folders = [path for path in sorted(self.results.glob("*/records/*/*")) if path.is_dir()]
        parts = [folder.relative_to(self.results).parts for folder in folders]
        return [(scale, phase, dataset) for scale, _, phase, dataset in parts]

    def tracked(self, scale: str, phase: str, dataset: str) -> Path:
        """The folder that DVC holds: further names of the finished runs' artifacts."""
        return self.root / TRACKED.format(scale=scale, phase=phase, dataset=dataset)

    def tracked_run(self, artifacts: Path) -> Path:
        """Where DVC holds the artifacts of the run whose own folder of artifacts is given."""
        scale, _, *within = artifacts.relative_to(self.results).parts
        return self.tracked(scale, within[0], within[1]).joinpath(*within[2:])

    def kinds_of_files(self, scale: str) -> dict[Path, str]:
        """Folders of a scale that hold files of runs, as `<phase>/<data set>/<cell>.<digest>`.

        Returns:
            Folder -> what a name has after the digest; "" for artifacts, which are folders.
        """
        suffixes = {"records": ".json", "artifacts": "", "diverged": ".json"}
        suffixes |= {"logs": ".log", "benchmarks": ".tsv"}
        return {self.results / scale / kind: suffix for kind, suffix in suffixes.items()}

    def report(self, scale: str, *, own: bool = False) -> Path:
        """The folder of a scale's tables and figures, or of the user's own tables."""
        return self.root / (OWN_REPORT if own else REPORT).format(scale=scale)

    def report_record(self, scale: str, digest: str) -> Path:
        """Says which records a report was made from."""
        return self.root / REPORT_RECORD.format(scale=scale, dataset="all", digest=digest)

    @property
    def timings(self) -> Path:
        """What runs take on devices of this machine, as `kdbench estimate --save` timed it."""
        return self.root / TIMINGS

    @property
    def data(self) -> Path:
        """Prepared data sets, shared by all scales."""
        return self.root / "data"

    def checkpoint(self, sha256: str) -> Path:
        """The weights of an imported teacher, by the SHA-256 of the file they came in."""
        return self.data / "teachers" / f"{sha256}.safetensors"

    def encoder(self, sha256: str) -> Path:
        """The weights that encoders start from, by the SHA-256 of the file they came in."""
        return self.data / "encoders" / f"{sha256}.safetensors"


@dataclass(frozen=True)
class PathsAside(Paths):
    """Paths of a project in which one run lies beside its finished self, while it is made again.

    Attributes:
        digest: of that run; everything else lies where it always does.
    """

    digest: str = ""

    def record(self, spec: RunSpec | Place) -> Path:
        """As of `Paths`; of the run that is made again, aside."""
        return self._aside(spec, super().record(spec))

    def diverged(self, spec: RunSpec | Place) -> Path:
        """As of `Paths`; of the run that is made again, aside."""
        return self._aside(spec, super().diverged(spec))

    def artifacts(self, spec: RunSpec | Place) -> Path:
        """As of `Paths`; of the run that is made again, aside."""
        return self._aside(spec, super().artifacts(spec))

    def _aside(self, spec: RunSpec | Place, path: Path) -> Path:
        if spec.digest != self.digest:
            return path
        below = path.relative_to(self.results / spec.scale)
        return self.root / REDONE.format(scale=spec.scale) / below
