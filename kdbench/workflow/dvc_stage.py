"""What a DVC stage calls: the runs of one phase on one data set, made by Snakemake."""

import os

from kdbench.console import say
from kdbench.errors import UnknownName, UserError
from kdbench.plan.graph import Graph
from kdbench.plan.job_groups import JobGroups
from kdbench.plan.params import FILE, changed_keys
from kdbench.store.paths import Paths
from kdbench.store.spec import PHASES
from kdbench.store.tracked import WITH_ARTIFACTS, track, track_all
from kdbench.workflow.calls import make_missing, require_snakefile
from kdbench.workflow.report import REPORT, readmes, report_record

STAGE = "DVC_STAGE"  # set by DVC for the commands of a stage: dvc.yaml's name of it


def build_stage(
    graph: Graph, paths: Paths, phase: str, dataset: str | None, cores: int | None
) -> int:
    """Have Snakemake make the records of one phase and data set; returns its exit code.

    Args:
        graph: the plan.
        paths: of the project.
        phase: what is built, or "report".
        dataset: on which; None for that of the DVC stage which is at work.
        cores: of the CPU; None for all.

    Raises:
        UnknownName: no such phase or data set.
        UserError: no data set is given and no DVC stage is at work, or no Snakefile is here.
    """
    if phase not in (*PHASES, REPORT):
        raise UnknownName("phase", phase, (*PHASES, REPORT), where="kdbench build")
    if dataset is None:
        dataset = _dataset_of_stage(phase, graph.params.scale)
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


def _dataset_of_stage(phase: str, scale: str) -> str:
    """The data set of the DVC stage that is at work: its name is `<phase>@<scale>-<data set>`.

    So dvc.yaml's commands, which a shell reads, need no name from params.yaml in them.

    Raises:
        UserError: this is no stage of that phase and scale.
    """
    stage = os.environ.get(STAGE, "")
    _, begin, dataset = stage.partition(f"{phase}@{scale}-")
    if begin:
        return dataset
    if phase == REPORT:
        return "all"
    why = f"the DVC stage {stage!r} is of another phase or scale" if stage else "none is given"
    advice = f"name it: kdbench build {phase} cifar100, for instance"
    raise UserError(f"kdbench build {phase}: no data set ({why}); {advice}")


def _track(graph: Graph, paths: Paths, phase: str, dataset: str) -> None:
    """Within a DVC stage, let DVC track finished artifacts, also after a failed call."""
    if STAGE not in os.environ:
        return
    if phase in WITH_ARTIFACTS:
        track(paths, graph.params.scale, phase, dataset, say)
    elif phase == REPORT:
        track_all(paths, say)  # the last stage: also what was made at other scales meanwhile
