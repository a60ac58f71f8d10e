"""Copies the finished runs of a plan into a folder that can be sent: `kdbench share`."""

import shutil
from pathlib import Path

from kdbench.errors import BadValue, UserError
from kdbench.plan.graph import Graph
from kdbench.plan.params import FILE
from kdbench.store.artifacts import checked
from kdbench.store.atomic import whole_folder
from kdbench.store.paths import MANIFEST, Paths
from kdbench.store.record import Seal, read_intact, seal_of
from kdbench.store.spec import RunSpec
from kdbench.workflow.sharing.crate import write_crate


def share(
    graph: Graph, paths: Paths, out: Path, *, licence: str, artifacts: bool
) -> tuple[int, int]:
    """Write the finished runs of a plan, params.yaml and their description as an RO-Crate.

    Args:
        graph: the plan: what it needs is what is shared.
        paths: of this project.
        out: a folder that does not exist yet.
        licence: address of the licence under which the files are given away.
        artifacts: whether the runs' artifacts (weights, schemes) come along.

    Returns:
        How many runs, and how many are left out because their records have no seal: whoever gets
        the folder could not merge them.

    Raises:
        BadValue: the folder exists.
        UserError: no run of the plan is finished, or none has a sealed record.
        DamagedData: a record or an artifact is not what its run wrote.
    """
    if out.exists():
        raise BadValue("kdbench share", str(out), "a folder that does not exist yet")
    finished = [run for run in graph.runs.values() if paths.record(run).is_file()]
    if not finished:
        raise UserError(f"{FILE}: no run of the plan at scale {graph.scale.name} is finished")
    sealed = [run for run in finished if seal_of(read_intact(paths.record(run))) is not Seal.ABSENT]
    if not sealed:
        advice = f"kdbench redo RUN makes one again: all {len(finished)} are of an older schema"
        raise UserError(f"no finished run has a record with a seal, which merge asks for; {advice}")
    with whole_folder(out) as draft:
        for run in sealed:
            _copy(paths.record(run), paths, draft)
            if artifacts and paths.manifest(run).is_file():
                _copy_artifacts(run, paths, draft)
        if (paths.root / FILE).is_file():
            _copy(paths.root / FILE, paths, draft)
        exhibits = ", ".join(exhibit.id for exhibit in graph.exhibits)
        write_crate(draft, f"kdbench, scale {graph.scale.name}: {exhibits}", licence)
    return len(sealed), len(finished) - len(sealed)


def _copy_artifacts(run: RunSpec, paths: Paths, out: Path) -> None:
    folder = paths.artifacts(run)
    for name in (*checked(folder), MANIFEST):
        _copy(folder / name, paths, out)


def _copy(file: Path, paths: Paths, out: Path) -> None:
    target = out / file.relative_to(paths.root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
