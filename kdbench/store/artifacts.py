"""Heavy files of a run: written beside their manifest, checked by sha256 before use."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kdbench.errors import DamagedData
from kdbench.store.atomic import write_json
from kdbench.store.disk import checksum_of
from kdbench.store.paths import CHECKPOINT, MANIFEST

LOCK = ".lock"
NOT_ARTIFACTS = {MANIFEST, CHECKPOINT}


def seal(folder: Path) -> dict[str, dict[str, Any]]:
    """Write the manifest of a folder whose files are complete, and return it.

    Returns:
        Relative file name -> {"sha256", "bytes"}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = [file.as_posix() for file in files if not _is_temporary(file)]
    manifest = {
        name: {"sha256": checksum_of(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
        if name not in NOT_ARTIFACTS
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def checked(folder: Path) -> dict[str, dict[str, Any]]:
    """Read a folder's manifest and compare every file with it.

    Raises:
        DamagedData: a file is missing or is not what the run wrote.
    """
    advice = f"delete {folder}; the next run pulls or rebuilds it"
    try:
        manifest: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text())
        wanted = {name: str(entry["sha256"]) for name, entry in manifest.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        found = f"unreadable content ({type(error).__name__}: {error})"
        raise DamagedData(folder / MANIFEST, found, "a manifest", advice) from None
    for name, sha256 in wanted.items():
        file = folder / name
        if not file.is_file():
            raise DamagedData(file, "no such file", "an artifact of a finished run", advice)
        found = checksum_of(file)
        if found != sha256:
            raise DamagedData(file, f"sha256 {found[:12]}", sha256[:12], advice)
    return manifest


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine out of a run's folder; freed even by SIGKILL."""
    with _lock_file(folder) as file:
        try:
            yield
        finally:
            if _is_at(file, folder / LOCK):
                (folder / LOCK).unlink(missing_ok=True)


def _lock_file(folder: Path) -> IO[str]:
    """The folder's lock file, locked; it is the one that newcomers will find there."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, folder / LOCK):
            return file
        file.close()  # its last holder deleted it while this process waited


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def sweep(folder: Path, record: Path) -> None:
    """Remove what a killed process left under temporary names; only with the folder locked."""
    for path in folder.iterdir():
        if _is_temporary(path.relative_to(folder)) and path.name != LOCK:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in record.parent.glob(f".{record.name}.*"):
        path.unlink()


def _is_temporary(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
