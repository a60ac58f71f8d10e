"""What a DVC stage calls: the runs of one phase on one data set, made by Snakemake."""

import os

from kdbench.console import say
from kdbench.errors import UnknownName
from kdbench.plan.graph import Graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, changed_keys
from kdbench.store.paths import Paths
from kdbench.store.spec import PHASES
from kdbench.store.tracked import WITH_ARTIFACTS, track, track_all
from kdbench.workflow.calls import make_missing, require_snakefile
from kdbench.workflow.report import REPORT, readmes, report_record


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
    if phase != REPORT:
        # DVC wants its outputs, also empty ones
        paths.folders(graph.params.scale, phase, dataset)[0].mkdir(parents=True, exist_ok=True)
    changed = changed_keys(graph.params, paths.root / FILE)
    if all(target.is_file() for target in targets):
        print(f"{phase} {dataset}: {len(targets)} up to date", flush=True)
        code = 0
    else:
        code = make_missing(targets, paths.root, cores=cores, config=changed)
    _track(graph, paths, phase, dataset)
    return code


def _track(graph: Graph, paths: Paths, phase: str, dataset: str) -> None:
    """Within a DVC stage, have DVC hold what is finished, of failed calls as well."""
    if "DVC_STAGE" not in os.environ:
        return
    if phase in WITH_ARTIFACTS:
        track(paths, graph.params.scale, phase, dataset, say)
    elif phase == REPORT:
        track_all(paths, say)  # the last stage: also what was made at other scales meanwhile
