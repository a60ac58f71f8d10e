"""DVC's own copy of finished artifacts.

DVC deletes what a folder of its holds and today's parameters do not name, unfinished checkpoints
included. So it never holds the folders that jobs work in. A finished run's files get a second name
in a folder that is DVC's, as hard links where the file system has them; whatever DVC does there,
the run's own folder stays as it is.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from kdbench.errors import DamagedData
from kdbench.store import dvc
from kdbench.store.artifacts import checked
from kdbench.store.paths import MANIFEST, Paths

WITH_ARTIFACTS = ("data", "teacher", "search", "student")


def track(paths: Paths, scale: str, phase: str, dataset: str, say: Callable[[str], None]) -> None:
    """Have DVC hold the artifacts of every finished run of one phase and data set.

    What DVC holds already stays, whether it lies here or not. Runs that a merge of two branches
    left out are looked for in the commits of both.

    Args:
        paths: of the project.
        scale: of the runs.
        phase: one that has artifacts.
        dataset: of the runs.
        say: called with what could not be done.
    """
    records, artifacts = paths.folders(scale, phase, dataset)
    tracked, root = paths.tracked(scale, phase, dataset), paths.root
    runs = sorted(record.stem for record in records.glob("*.json"))
    renewed = {run for run in runs if _linked(artifacts / run, tracked / run)}
    before = dvc.held(tracked, root) if runs else set()
    left_out = [tracked / run for run in runs if before is not None and run not in before]
    dvc.restore([folder for folder in left_out if not _complete(folder)], root, say)
    fresh = [f.name for f in left_out if _complete(f)] if before is not None else runs
    new = sorted(renewed | {run for run in fresh if _complete(tracked / run)})
    error = dvc.add(tracked, new, root) if new else ""
    if error:
        say(f"{phase} {dataset}: dvc add: {error}; DVC does not hold {len(new)} finished runs")


def track_all(paths: Paths, say: Callable[[str], None]) -> None:
    """The same for every scale, phase and data set that has records."""
    for scale, phase, dataset in paths.recorded():
        if phase in WITH_ARTIFACTS:
            track(paths, scale, phase, dataset, say)


def restore_artifacts(folders: Sequence[Path], paths: Paths, say: Callable[[str], None]) -> bool:
    """Restore absent folders of artifacts from DVC's copy, its cache or its remote.

    Args:
        folders: of finished runs.
        paths: of the project.
        say: called with what DVC answered where it failed: what follows may be hours of work.

    Returns:
        Whether all of them are complete now.
    """
    if not dvc.in_use(paths.root):
        return False
    absent = [folder for folder in folders if not _sound(paths.tracked_run(folder))]
    dvc.restore([paths.tracked_run(folder) for folder in absent], paths.root, say)
    for folder in folders:
        copy = paths.tracked_run(folder)
        if folder not in absent or _sound(copy):
            _link_files(copy, folder)
    return all(_complete(folder) for folder in folders)


def _complete(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _sound(copy: Path) -> bool:
    """Whether a run's files are all in DVC's copy, as sealed; a damaged copy is removed."""
    if not _complete(copy):
        return False
    try:
        checked(copy)
    except DamagedData:
        shutil.rmtree(copy)
        return False
    return True


def _linked(artifacts: Path, copy: Path) -> bool:
    """Give a finished run's files their second names; whether they did not have them yet."""
    if not _complete(artifacts):
        return False
    if _complete(copy) and (copy / MANIFEST).read_bytes() == (artifacts / MANIFEST).read_bytes():
        return False
    shutil.rmtree(copy, ignore_errors=True)
    _link_files(artifacts, copy)
    return True


def _link_files(source: Path, target: Path) -> None:
    """Link the files that a manifest names, and the manifest last."""
    for name in (*json.loads((source / MANIFEST).read_bytes()), MANIFEST):
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        _link(source / name, file)


def _link(source: Path, target: Path) -> None:
    """A second name of a file, or a copy where that cannot be had."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
