"""Artifacts of a run: files beside a manifest, checked by SHA-256 before use."""

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kdbench.errors import DamagedData
from kdbench.store.atomic import write_json
from kdbench.store.disk import checksum_of
from kdbench.store.locks import held
from kdbench.store.paths import CHECKPOINTS, MANIFEST

LOCK = ".lock"
NOT_ARTIFACTS = {MANIFEST, *CHECKPOINTS}


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
        expected = {name: str(entry["sha256"]) for name, entry in manifest.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        content = f"unreadable content ({type(error).__name__}: {error})"
        raise DamagedData(folder / MANIFEST, content, "a manifest", advice) from None
    for name, sha256 in expected.items():
        file = folder / name
        if not file.is_file():
            raise DamagedData(file, "no such file", "an artifact of a finished run", advice)
        actual = checksum_of(file)
        if actual != sha256:
            raise DamagedData(file, f"sha256 {actual[:12]}", sha256[:12], advice)
    return manifest


def locked(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes out of a run's folder, see `kdbench.store.locks`."""
    return held(folder / LOCK)


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


def discard_damaged(folder: Path) -> None:
    """Delete a folder's artifacts and its manifest, unless another process has mended them."""
    with locked(folder):
        try:
            checked(folder)
        except DamagedData:
            (folder / MANIFEST).unlink(missing_ok=True)
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in (LOCK, *CHECKPOINTS):
                    path.unlink()


def forget_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a run that is done."""
    for name in CHECKPOINTS:
        (folder / name).unlink(missing_ok=True)


def _is_temporary(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
