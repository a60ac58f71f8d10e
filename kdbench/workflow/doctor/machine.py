"""What the doctor looks at: this machine in figures; checks can be tried on made-up ones."""

import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, requires
from importlib.util import find_spec
from pathlib import Path

from packaging.utils import canonicalize_name

from kdbench.store.locks import file_system_of
from kdbench.workflow.requests import visible_gpus

SHARED_MEMORY = Path("/dev/shm")
MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Facts about a machine and its Python.

    Attributes:
        python: its version.
        installed: versions by package, by canonical name.
        required: what kdbench asks for, as in pyproject.toml.
        cores: that this process may use.
        memory: bytes of main memory; None where the system does not say.
        free: bytes free where the project lies.
        shared_memory: bytes of /dev/shm; None where there is none.
        file_system: kind and mount point of the project's file system.
        gpus: that are visible.
        cuda: the version that torch was built for; None for a torch without CUDA.
        environment: variables.
    """

    python: str
    installed: Mapping[str, str]
    required: tuple[str, ...]
    cores: int
    memory: int | None
    free: int
    shared_memory: int | None
    file_system: str
    gpus: int
    cuda: str | None
    environment: Mapping[str, str]

    @staticmethod
    def this(root: Path) -> "Machine":
        """The machine and Python that this process has, for a project in a folder."""
        shared = shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else None
        return Machine(
            python=platform.python_version(),
            installed={
                canonicalize_name(str(d.metadata["Name"])): d.version
                for d in distributions()
                if d.metadata
            },
            required=_required(),
            cores=_cores(),
            memory=_memory(),
            free=shutil.disk_usage(root).free,
            shared_memory=shared,
            file_system=file_system_of(root),
            gpus=visible_gpus(),
            cuda=_cuda(),
            environment=dict(os.environ),
        )


def _required() -> tuple[str, ...]:
    try:
        return tuple(requires("kdbench") or ())
    except PackageNotFoundError:
        return ()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _memory() -> int | None:
    if not MEMORY.is_file():
        return None
    match = re.search(r"MemTotal:\s+(\d+) kB", MEMORY.read_text())
    return int(match[1]) * 1024 if match else None


def _cuda() -> str | None:
    """What torch's own version file says; importing torch takes seconds."""
    spec = find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if file is None or not file.is_file():
        return None
    match = re.search(r"^cuda(?:: [^=]+)? = '([\d.]+)'", file.read_text(), re.MULTILINE)
    return match[1] if match else None
