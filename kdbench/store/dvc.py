"""Calls of DVC: what it holds, adding to it, and restoring from its cache or its remote.

DVC holds `results/<scale>/tracked/<phase>/<dataset>`, a folder in which every finished run has one
of its own; the `.dvc` file beside it names that folder's content, and git keeps the `.dvc` file.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

SUFFIX = ".dvc"
MOST_TARGETS = 50  # in one call of DVC
MOST_COMMITS = 50  # in which a run is looked for that today's commit does not hold


def in_use(root: Path) -> bool:
    """Whether the project is under DVC."""
    return (root / ".dvc").is_dir()


def held(tracked: Path, root: Path, commit: str = "") -> set[str] | None:
    """Runs that DVC holds in a folder.

    Args:
        tracked: the folder.
        root: the project's folder.
        commit: of git; empty for what lies in the project's folder now.

    Returns:
        None where DVC has the folder's list neither here nor in its remote.
    """
    text = _described(tracked, root, commit)
    if text is None:
        return set()
    listed = _cached_list(text, root)
    return _asked_list(tracked, root, commit) if listed is None else listed


def add(tracked: Path, runs: Sequence[str], root: Path) -> str:
    """Have DVC hold more runs of a folder, beside those that it holds already.

    Args:
        tracked: the folder, in which the runs lie.
        runs: names in it.
        root: the project's folder.

    Returns:
        The last line of DVC's error, empty where it succeeded.
    """
    before = held(tracked, root)
    beyond = before is None and _has_remote(root)  # runs that only the remote knows of
    whole = not beyond and all((tracked / run).is_dir() for run in before or ())
    if before is None and whole:
        _file(tracked).unlink()  # names what nobody has
    targets = [tracked] if whole else [tracked / run for run in runs]
    for group in _groups(targets):
        error = _dvc(root, "add", "--quiet", "--no-relink", *_names(group, root))
        if error:
            return error
    return ""


def restore(folders: Sequence[Path], root: Path, say: Callable[[str], None]) -> None:
    """Bring absent folders of runs from DVC's cache or its remote, as far as it has them.

    Runs that today's commit does not hold are looked for in older commits and other branches: a
    `.dvc` file is one side's after a merge, though the records of both are there.

    Args:
        folders: of runs, within those that DVC holds.
        root: the project's folder.
        say: called with what DVC answered where it failed: what follows may be hours of work.
    """
    for tracked in {folder.parent for folder in folders}:
        runs = {folder.name for folder in folders if folder.parent == tracked}
        now = held(tracked, root)
        todays = runs if now is None else runs & now
        for group in _groups([tracked / run for run in sorted(todays)]):
            _bring(group, root, say)
        absent = {run for run in runs if not (tracked / run).is_dir()}
        for commit in _commits(tracked, root) if absent else ():
            older = absent & (held(tracked, root, commit) or set())
            for run in sorted(older):
                name = (tracked / run).relative_to(root).as_posix()
                words = (".", name, "--rev", commit, "--out", name)
                if not _dvc(root, "get", "--quiet", *words):
                    absent.discard(run)
            if not absent:
                break


def _bring(folders: Sequence[Path], root: Path, say: Callable[[str], None]) -> None:
    """Have DVC check folders out that today's commit holds, pulling what its cache lacks."""
    _dvc(root, "checkout", "--quiet", *_names(folders, root))
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent and _has_remote(root):
        error = _dvc(root, "pull", "--quiet", *_names(absent, root))
        if error:
            say(f"dvc pull: {error}")


def _file(tracked: Path) -> Path:
    return tracked.with_name(tracked.name + SUFFIX)


def _described(tracked: Path, root: Path, commit: str) -> str | None:
    """The content of a folder's `.dvc` file; None where there is none."""
    file = _file(tracked)
    if commit:
        return _git(root, "show", f"{commit}:./{file.relative_to(root).as_posix()}")
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _cached_list(described: str, root: Path) -> set[str] | None:
    """Runs named by the list that a `.dvc` file points to, where it lies in the usual cache."""
    try:
        md5 = str(yaml.safe_load(described)["outs"][0]["md5"])
        path = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {entry["relpath"].partition("/")[0] for entry in entries}
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return None


def _asked_list(tracked: Path, root: Path, commit: str) -> set[str] | None:
    """The same by DVC, which knows other caches and asks the remote."""
    words = ["list", ".", tracked.relative_to(root).as_posix(), "--dvc-only", "--json"]
    call = _run(root, *words, *(["--rev", commit] if commit else []))
    if call.returncode != 0:
        return None
    return {str(entry["path"]) for entry in json.loads(call.stdout)}


def _commits(tracked: Path, root: Path) -> list[str]:
    """Commits of all branches that changed a folder's `.dvc` file, newest first."""
    name = _file(tracked).relative_to(root).as_posix()
    listed = _git(root, "log", "--all", "--format=%H", f"-{MOST_COMMITS}", "--", name)
    return (listed or "").split()


def _groups(targets: Sequence[Path]) -> list[Sequence[Path]]:
    return [targets[i : i + MOST_TARGETS] for i in range(0, len(targets), MOST_TARGETS)]


def _names(folders: Sequence[Path], root: Path) -> list[str]:
    return [folder.relative_to(root).as_posix() for folder in folders]


def _has_remote(root: Path) -> bool:
    call = _run(root, "config", "core.remote")
    return call.returncode == 0 and bool(call.stdout.strip())


def _dvc(root: Path, *words: str) -> str:
    """Run DVC; returns the last line of its error, empty where it succeeded."""
    call = _run(root, *words)
    lines = call.stderr.strip().splitlines()
    return (lines[-1] if lines else "failed") if call.returncode != 0 else ""


def _run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def _git(root: Path, *words: str) -> str | None:
    """What git prints; None where it fails or is absent."""
    try:
        call = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return call.stdout if call.returncode == 0 else None
