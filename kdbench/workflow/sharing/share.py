"""Copies the finished runs of a plan into a folder or a file that can be sent: `kdbench share`."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
from kdbench.workflow.sharing.packed import ENDING, pack

OTHERS = {".bz2", ".gz", ".tar", ".tgz", ".txz", ".xz", ".zip", ".zst"}


def share(
    graph: Graph, paths: Paths, out: Path, *, licence: str, artifacts: bool
) -> tuple[int, int]:
    """Write the finished runs of a plan, params.yaml and their description as an RO-Crate.

    Args:
        graph: the plan: what it needs is what is shared.
        paths: of this project.
        out: a folder, or an archive by its ending, that does not exist yet.
        licence: address of the licence under which the files are given away.
        artifacts: whether the runs' artifacts (weights, schemes) come along.

    Returns:
        How many runs, and how many are left out because their records have no seal: whoever gets
        the folder could not merge them.

    Raises:
        BadValue: it exists, or is named as an archive of another kind.
        UserError: no run of the plan is finished, or none has a sealed record.
        DamagedData: a record or an artifact is not what its run wrote.
    """
    _check_name(out)
    finished = [run for run in graph.runs.values() if paths.record(run).is_file()]
    if not finished:
        raise UserError(f"{FILE}: no run of the plan at scale {graph.scale.name} is finished")
    sealed = [run for run in finished if seal_of(read_intact(paths.record(run))) is not Seal.ABSENT]
    if not sealed:
        advice = f"kdbench redo RUN makes one again: all {len(finished)} are of an older schema"
        raise UserError(f"no finished run has a record with a seal, which merge asks for; {advice}")
    with _draft(out) as draft:
        for run in sealed:
            _copy(paths.record(run), paths, draft)
            if artifacts and paths.manifest(run).is_file():
                _copy_artifacts(run, paths, draft)
        if (paths.root / FILE).is_file():
            _copy(paths.root / FILE, paths, draft)
        exhibits = ", ".join(exhibit.id for exhibit in graph.exhibits)
        write_crate(draft, f"kdbench, scale {graph.scale.name}: {exhibits}", licence)
    return len(sealed), len(finished) - len(sealed)


def _check_name(out: Path) -> None:
    """Refuse what exists, and a name that promises another kind of archive than we write."""
    if out.exists():
        raise BadValue("kdbench share", str(out), "a folder or file that does not exist yet")
    if out.suffix in OTHERS and not out.name.endswith(ENDING):
        raise BadValue("kdbench share", str(out), f"a folder, or a file that ends with {ENDING}")


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes the result when the block ends well."""
    if not out.name.endswith(ENDING):
        with whole_folder(out) as draft:
            yield draft
        return
    with tempfile.TemporaryDirectory(prefix="kdbench-") as folder:
        yield Path(folder)
        pack(Path(folder), out)


def _copy_artifacts(run: RunSpec, paths: Paths, out: Path) -> None:
    folder = paths.artifacts(run)
    for name in (*checked(folder), MANIFEST):
        _copy(folder / name, paths, out)


def _copy(file: Path, paths: Paths, out: Path) -> None:
    target = out / file.relative_to(paths.root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
