"""Bringing heavy files back with DVC: from its cache on this machine, or from its remote."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from kdbench.store.paths import MANIFEST

MANY = 50  # folders a call of DVC is given at most


def restore_artifacts(folders: Sequence[Path], root: Path, say: Callable[[str], None]) -> bool:
    """Ask DVC for absent artifact folders; they lie inside outputs that dvc.lock names.

    Args:
        folders: run folders under `root`.
        root: the project's folder.
        say: told what DVC answered where it failed, because what follows may be hours of work.

    Returns:
        Whether all of them are there now.
    """
    if not (root / ".dvc").is_dir() or not (root / "dvc.lock").is_file():
        return False
    for start in range(0, len(folders), MANY):
        part = folders[start : start + MANY]
        _dvc(root, "checkout", "--quiet", *_names(part, root))
        absent = [folder for folder in part if not _complete(folder)]
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
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "core.remote"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0 and bool(done.stdout.strip())


def _dvc(root: Path, *words: str) -> str:
    """Run DVC; returns the last line of its complaint, empty where it had none."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    return lines[-1] if done.returncode != 0 and lines else ""
