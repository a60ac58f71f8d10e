"""What a record says about where its numbers come from."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kdbench.engine.cuda_graphs import uses_graphs
from kdbench.errors import BadValue

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("torch", "torchvision", "numpy", "kdbench")
COMMIT = "KDBENCH_COMMIT"  # environment: the commit of a copy of the code that has no .git


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Commit, versions, device and how it is used; nothing that names a person, a path or a host.

    The commit is that of the package's own checkout; `dirty` says whether its code differs from
    it, new files included. Other files of a project (params.yaml, dvc.lock) are its user's. A copy
    of the code that has no .git takes both from KDBENCH_COMMIT, "5015005" or, with changes,
    "5015005+".

    Raises:
        BadValue: KDBENCH_COMMIT is asked for and is no commit.
    """
    commit, dirty = _commit()
    return {
        "commit": commit,
        "dirty": dirty,
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device_name(device),
        **({"graphs": uses_graphs(device)} if device.type == "cuda" else {}),
    }


def _commit() -> tuple[str | None, bool]:
    """The commit of this code, None where nobody says, and whether the code differs from it."""
    commit = _git("rev-parse", "HEAD")
    if commit:
        return commit, bool(_git("status", "--porcelain", "--", PACKAGE.name))
    given = os.environ.get(COMMIT, "")
    if not given:
        return None, False
    match = re.fullmatch(r"([0-9a-f]{7,40})(\+?)", given)
    if match is None:
        raise BadValue(COMMIT, given, "7 to 40 hexadecimal digits, and '+' where the code differs")
    return match[1], bool(match[2])


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's architecture."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"


def now() -> str:
    """UTC time to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _git(*words: str) -> str:
    command = ["git", *words]
    try:
        run = subprocess.run(
            command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
