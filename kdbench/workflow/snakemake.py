"""Between the plan and the two tools that drive it: what Snakemake asks, what DVC calls."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kdbench.console import fail, say
from kdbench.errors import UnknownName, UserError
from kdbench.plan.graph import Graph, load_graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, changed_keys, load_params, parse_yaml
from kdbench.store.atomic import write_json
from kdbench.store.dvc import restore_artifacts
from kdbench.store.fingerprint import code_fingerprint
from kdbench.store.paths import MANIFEST, Paths
from kdbench.store.record import SCHEMA
from kdbench.store.spec import PHASES, RunSpec, digest_of
from kdbench.workflow import programs

REPORT = "report"
README = "README.md"
WITH_ARTIFACTS = ("data", "teacher", "search", "student")
PACKAGE = Path(__file__).parents[1]


class Workflow:
    """What the Snakefile asks.

    Args:
        config: Snakemake's configuration: what `--config` gave, over params.yaml.
        root: the project's folder.
    """

    def __init__(self, config: Mapping[str, Any], root: Path = Path()) -> None:
        self.paths = Paths(root)
        written = load_params(root / FILE).model_dump()
        given = {key: typed(value) for key, value in config.items()}
        self.overrides = {k: v for k, v in given.items() if k not in written or v != written[k]}
        self.graph: Graph = load_graph(root, self.overrides)
        self.scale = self.graph.params.scale
        self.batches = JobGroups(self.graph, self.paths)
        self.readme = str(self.paths.report(self.scale) / README)
        self.report_record = str(report_record(self.graph, self.paths))

    @property
    def options(self) -> str:
        """Options that make `kdbench` plan what this Snakemake call plans."""
        rest = {k: v for k, v in self.overrides.items() if k != "scale"}
        quoted = json.dumps(rest).replace("'", "'\\''")
        return f"--scale {self.scale}" + (f" --override '{quoted}'" if rest else "")

    @property
    def gpus(self) -> int:
        """GPUs a job asks for: one, except where there is none and at the smoke scale.

        Runs of smoke are seconds long. Without a GPU the jobs share the cores, which asking for
        one would forbid.
        """
        return int(self.scale != "smoke" and any(Path("/dev").glob("nvidia[0-9]*")))

    def upstream(self, wildcards: Any) -> list[str]:
        """Inputs of one job: records, or artifacts that must be restored for it first."""
        spec = self.graph.runs[wildcards.digest]
        if self._done(spec):
            return [str(self.paths.record(u)) for u in spec.upstream.values()]
        made = self.batches.of(spec)
        return list(dict.fromkeys(name for one in made for name in self._inputs(one)))

    def cells(self, wildcards: Any) -> str:
        """What an evaluation's job makes: digests for `kdbench run`."""
        return " ".join(s.digest for s in self.batches.of(self.graph.runs[wildcards.digest]))

    def _inputs(self, spec: RunSpec) -> Iterator[str]:
        """What must be there before a job: what its own students need, if it makes them too."""
        for upstream in spec.upstream.values():
            if self.batches.within(upstream) and not self._done(upstream):
                yield from self._inputs(upstream)
            else:
                yield str(self._wanted(upstream))

    def _done(self, spec: RunSpec) -> bool:
        return self.paths.record(spec).is_file()

    def _wanted(self, spec: RunSpec) -> Path:
        finished = self._done(spec)
        absent = not self.paths.manifest(spec).is_file()
        return self.paths.manifest(spec) if finished and absent else self.paths.record(spec)

    def records(self) -> list[str]:
        """Records that jobs are asked for, of all runs."""
        runs = self.graph.runs.values()
        return [str(self.paths.record(r)) for r in runs if self.batches.asked(r)]

    @property
    def evaluation_minutes(self) -> int:
        """How long an evaluation's job may take; where it trains too, as long as a training."""
        return 1440 if self.graph.scale.cells_per_job else 60

    def report_anyway(self) -> None:
        """Some runs failed: the report says so, of those that belong to a whole call."""
        if not os.environ.get(programs.PART):
            readme = write_report(self.graph, self.paths)
            say(f"The report of what is there: {readme}")

    def threads(self, wildcards: Any) -> int:
        """CPU threads of one run."""
        return int(self.graph.runs[wildcards.digest].params.get("threads", 1))


def typed(value: Any) -> Any:
    """What `--config` gave, with numbers as numbers: Snakemake hands over nested ones as text."""
    if isinstance(value, Mapping):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return parse_yaml(value) if isinstance(value, str) else value


def plan_or_exit(config: Mapping[str, Any]) -> Workflow:
    """The Snakefile's first line: a mistake of the user's is one line, not a traceback."""
    try:
        return Workflow(config)
    except UserError as error:
        sys.exit(fail(error))


def report_digest(graph: Graph) -> str:
    """Identity of a report: the records it reads, and the code and numbers that make it."""
    files = [*(PACKAGE / "report").rglob("*.py"), *(PACKAGE / "papers").glob("*.py")]
    printed = sorted((PACKAGE / "papers").glob("*.csv"))
    return digest_of(
        {
            "records": sorted(graph.runs),
            "exhibits": [exhibit.id for exhibit in graph.exhibits],
            "code": code_fingerprint(files),
            "published": {path.name: path.read_text(encoding="utf-8") for path in printed},
        }
    )


def report_record(graph: Graph, paths: Paths) -> Path:
    """The record that says that today's report is written."""
    return paths.report_record(graph.params.scale, report_digest(graph))


def write_report(graph: Graph, paths: Paths) -> Path:
    """Write the report from the records that exist; its own record only when none is missing."""
    from kdbench.report.make import make_report

    record = report_record(graph, paths)
    for older in record.parent.glob("*.json") if record.parent.is_dir() else ():
        older.unlink()  # before the page changes: no record may speak of another page
    readme = make_report(graph, paths)
    if all(paths.record(run).is_file() for run in graph.runs.values()):
        content = {"schema": SCHEMA, "phase": REPORT, "runs": sorted(graph.runs)}
        write_json(record, content)
    return readme


def build_stage(graph: Graph, paths: Paths, phase: str, dataset: str, cores: int | None) -> int:
    """Have Snakemake make the records of one phase and data set; returns its exit code.

    Raises:
        UnknownName: no such phase or data set.
        UserError: no Snakefile here.
    """
    if phase not in (*PHASES, REPORT):
        raise UnknownName("phase", phase, (*PHASES, REPORT), where="kdbench build")
    known = ["all"] if phase == REPORT else graph.params.datasets
    if dataset not in known:
        raise UnknownName("dataset", dataset, known, where=f"kdbench build {phase}")
    if not (paths.root / "Snakefile").is_file():
        raise UserError(f"{paths.root / 'Snakefile'}: no such file; run in a project folder")
    planned, batches = graph.stage(phase, dataset), JobGroups(graph, paths)
    asked = [s for s in planned if batches.asked(s) or phase == "student"]
    targets = [str(paths.record(spec)) for spec in asked]
    if phase == REPORT:
        targets = [str(report_record(graph, paths)), str(paths.report(graph.params.scale) / README)]
    missing = [target for target in targets if not Path(target).is_file()]
    if phase in WITH_ARTIFACTS:
        _keep_tracked(graph, paths, phase, dataset)
    if phase != REPORT:
        for folder in paths.stage(graph.params.scale, phase, dataset):
            folder.mkdir(parents=True, exist_ok=True)  # DVC wants its outputs, also empty ones
    if not missing:
        print(f"{phase} {dataset}: {len(targets)} up to date", flush=True)
        return 0
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all"), *missing]
    changed = changed_keys(graph.params, paths.root / FILE)
    config = [f"{key}={json.dumps(value)}" for key, value in changed.items()]
    words = ["--config", *config] if config else []
    return subprocess.call([*command, *words], env=programs.environment())


def _keep_tracked(graph: Graph, paths: Paths, phase: str, dataset: str) -> None:
    """Bring back what DVC tracks of a stage and is absent here, or its lock would forget it."""
    records, artifacts = paths.stage(graph.params.scale, phase, dataset)
    folders = [artifacts / record.stem for record in sorted(records.glob("*.json"))]
    absent = [folder for folder in folders if not (folder / MANIFEST).is_file()]
    if absent and "DVC_STAGE" in os.environ and not restore_artifacts(absent, paths.root, say):
        left = sum(not (folder / MANIFEST).is_file() for folder in absent)
        say(
            f"{phase} {dataset}: the heavy files of {left} finished runs are neither here nor to "
            "be had from DVC; the new dvc.lock will not list them, older commits of it do"
        )
