"""Heavy files of a run: written beside their manifest, checked by sha256 before use."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from kdbench.engine.progress import CHECKPOINT
from kdbench.errors import DamagedData
from kdbench.plan.paths import MANIFEST
from kdbench.plan.record import write_json

LOCK = ".lock"
NOT_ARTIFACTS = {MANIFEST, CHECKPOINT, LOCK}


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def seal(folder: Path) -> dict[str, dict[str, Any]]:
    """Write the manifest of a folder whose files are complete, and return it.

    Returns:
        Relative file name -> {"sha256", "bytes"}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    manifest = {
        name: {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
        if name not in NOT_ARTIFACTS and not Path(name).name.startswith(".")
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
    except ValueError as error:
        raise DamagedData(folder / MANIFEST, error, "a manifest", advice) from None
    for name, entry in manifest.items():
        file = folder / name
        if not file.is_file():
            raise DamagedData(file, "no such file", "an artifact of a finished run", advice)
        found = sha256_of(file)
        if found != entry["sha256"]:
            raise DamagedData(file, f"sha256 {found[:12]}", entry["sha256"][:12], advice)
    return manifest


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine out of a run's folder; freed even by SIGKILL."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
