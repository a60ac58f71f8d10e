"""Every finished run of the plan compared with its seals, and mended where it does not match."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from kdbench.errors import DamagedData
from kdbench.plan.graph import Graph, ordered
from kdbench.store.artifacts import checked
from kdbench.store.atomic import write_bytes
from kdbench.store.paths import Paths
from kdbench.store.record import read_intact
from kdbench.store.spec import RunSpec

SET_ASIDE = ".damaged"  # added to the name of a record that another takes the place of


def verify(graph: Graph, paths: Paths, say: Callable[[str], None], *, repair: bool) -> int:
    """Name every damaged record and artifact of finished runs; mend them where that is asked for.

    A damaged record is set aside. It comes back from git where the last commit has it intact;
    otherwise its run counts as not done. Damaged artifacts are pulled by DVC, or made again.

    Args:
        graph: the plan.
        paths: of the project.
        say: prints one line.
        repair: whether to mend.

    Returns:
        How many are damaged, and not mended.
    """
    records, artifacts, finished = list[RunSpec](), list[RunSpec](), 0
    for run in ordered(graph.runs):
        if not paths.record(run).is_file():
            continue
        finished += 1
        for damaged, line in _damage(run, paths):
            (records if damaged == paths.record(run) else artifacts).append(run)
            say(line)
    aside = 0
    if repair:
        for run in records:
            aside += not _mend_record(paths.record(run), paths.root, say)
        _mend_artifacts([run for run in artifacts if paths.record(run).is_file()], paths, say)
    count = len(records) + len(artifacts)
    mended = [(count - aside, "repaired"), (aside, "set aside, to be made again")]
    said = "".join(f", {n} {how}" for n, how in mended if repair and n)
    say(f"scale {graph.params.scale}, {finished} finished runs: {count} damaged{said}")
    return 0 if repair else count


def _damage(run: RunSpec, paths: Paths) -> Iterator[tuple[Path, str]]:
    """What of a finished run is damaged: its record, the folder of its artifacts; a line each."""
    try:
        _check_record(paths.record(run), run)
    except DamagedData as damage:
        yield paths.record(run), str(damage)
    if paths.manifest(run).is_file():
        try:
            checked(paths.artifacts(run))
        except DamagedData as damage:
            yield paths.artifacts(run), str(damage)


def _check_record(path: Path, run: RunSpec) -> None:
    """Refuse a record that is not as a run of this digest wrote it."""
    spec = read_intact(path).get("spec")
    digest = spec.get("digest") if isinstance(spec, dict) else None
    if digest != run.digest:
        advice = "delete the file and run again"
        raise DamagedData(path, f"the record of run {digest}", f"that of {run.digest}", advice)


def _mend_record(path: Path, root: Path, say: Callable[[str], None]) -> bool:
    """Set a damaged record aside; whether the last commit has it intact, and so it is back."""
    aside = path.with_name(path.name + SET_ASIDE)
    path.replace(aside)
    name = path.relative_to(root).as_posix()
    command = ["git", "show", f"HEAD:./{name}"]
    shown = subprocess.run(command, cwd=root, capture_output=True)
    if shown.returncode == 0:
        write_bytes(path, shown.stdout)
        try:
            read_intact(path)
        except DamagedData:
            path.unlink()
        else:
            say(f"{path}: restored from git")
            return True
    say(f"{path}: set aside as {aside.name}; its run must be made again")
    return False


def _mend_artifacts(runs: list[RunSpec], paths: Paths, say: Callable[[str], None]) -> None:
    if not runs:
        return
    from kdbench.runs.execute import Options, mend  # loads torch

    options = Options(say=say)
    stopper = options.stopper()
    for run in runs:
        mend(run, paths, options, stopper)
