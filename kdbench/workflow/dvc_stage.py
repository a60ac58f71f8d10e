"""What a DVC stage calls: the runs of one phase on one data set, made by Snakemake."""

import os

from kdbench.console import say
from kdbench.errors import UnknownName
from kdbench.plan.graph import Graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, changed_keys
from kdbench.store.dvc import restore_artifacts
from kdbench.store.paths import MANIFEST, Paths
from kdbench.store.spec import PHASES
from kdbench.workflow.report import REPORT, readmes, report_record
from kdbench.workflow.snakemake import make_missing, require_snakefile

WITH_ARTIFACTS = ("data", "teacher", "search", "student")


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
    require_snakefile(paths.root)
    planned, groups = graph.of_phase(phase, dataset), JobGroups(graph, paths)
    targets = [paths.record(s) for s in planned if groups.asked(s) or phase == "student"]
    if phase == REPORT:
        targets = [report_record(graph, paths), *readmes(graph, paths)]
    if phase in WITH_ARTIFACTS:
        _keep_tracked(graph, paths, phase, dataset)
    if phase != REPORT:
        for folder in paths.folders(graph.params.scale, phase, dataset):
            folder.mkdir(parents=True, exist_ok=True)  # DVC wants its outputs, also empty ones
    changed = changed_keys(graph.params, paths.root / FILE)
    if all(target.is_file() for target in targets):
        print(f"{phase} {dataset}: {len(targets)} up to date", flush=True)
        return 0
    return make_missing(targets, paths.root, cores=cores, config=changed)


def _keep_tracked(graph: Graph, paths: Paths, phase: str, dataset: str) -> None:
    """Restore what DVC tracks of a DVC stage and is absent here, or its lock would forget it."""
    records, artifacts = paths.folders(graph.params.scale, phase, dataset)
    folders = [artifacts / record.stem for record in sorted(records.glob("*.json"))]
    absent = [folder for folder in folders if not (folder / MANIFEST).is_file()]
    if absent and "DVC_STAGE" in os.environ and not restore_artifacts(absent, paths.root, say):
        left = sum(not (folder / MANIFEST).is_file() for folder in absent)
        say(
            f"{phase} {dataset}: the artifacts of {left} finished runs are neither here nor to "
            "be had from DVC; the new dvc.lock will not list them, older commits of it do"
        )
