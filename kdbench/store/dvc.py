"""Restoring artifacts with DVC: from its cache on this machine, or from its remote."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kdbench.store.paths import MANIFEST

MOST_FOLDERS = 50  # in one call of DVC


def restore_artifacts(folders: Sequence[Path], root: Path, say: Callable[[str], None]) -> bool:
    """Restore absent artifact folders; they lie inside outputs that dvc.lock names.

    Args:
        folders: run folders under `root`.
        root: the project's folder.
        say: called with what DVC answered where it failed: what follows may be hours of work.

    Returns:
        Whether all of them are complete now.
    """
    if not (root / ".dvc").is_dir() or not (root / "dvc.lock").is_file():
        return False
    for start in range(0, len(folders), MOST_FOLDERS):
        group = folders[start : start + MOST_FOLDERS]
        _dvc(root, "checkout", "--quiet", *_names(group, root))
        absent = [folder for folder in group if not _complete(folder)]
        if absent and _has_remote(root):
            error = _dvc(root, "pull", "--quiet", *_names(absent, root))
            if error:
                say(f"dvc pull: {error}")
    return all(_complete(folder) for folder in folders)


def _complete(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _names(folders: Sequence[Path], root: Path) -> list[str]:
    return [folder.relative_to(root).as_posix() for folder in folders]


def _has_remote(root: Path) -> bool:
    run = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "core.remote"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    return run.returncode == 0 and bool(run.stdout.strip())


def _dvc(root: Path, *words: str) -> str:
    """Run DVC; returns the last line of its error, empty where it succeeded."""
    command = [sys.executable, "-m", "dvc", *words]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    lines = run.stderr.strip().splitlines()
    return lines[-1] if run.returncode != 0 and lines else ""
