"""What a record says about where its numbers come from."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("torch", "torchvision", "numpy", "kdbench")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Commit, versions and device; nothing that names a person, a path or a host.

    The commit is that of the package's own checkout; `dirty` says whether its code differs from
    it, new files included. Other files of a project (params.yaml, dvc.lock) are its user's.
    """
    status = _git("status", "--porcelain", "--", PACKAGE.name)
    return {
        "commit": _git("rev-parse", "HEAD") or None,
        "dirty": bool(status),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device_name(device),
    }


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
