"""How kdbench itself calls Snakemake."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from kdbench.errors import UserError

PART = "KDBENCH_PART"  # set where Snakemake is called for a part of the plan


def require_snakefile(root: Path) -> None:
    """Refuse a folder that is no project of kdbench's, before anything is written there.

    Raises:
        UserError: it has no Snakefile.
    """
    if not (root / "Snakefile").is_file():
        raise UserError(f"{root / 'Snakefile'}: no such file; run in a project folder")


def make_missing(
    targets: Sequence[Path],
    root: Path,
    *,
    cores: int | None,
    config: Mapping[str, Any],
    keep_going: bool = False,
) -> int:
    """Have Snakemake make the files that are missing; returns its exit code.

    Args:
        targets: records, or a report's files.
        root: the project's folder.
        cores: None for all.
        config: top-level keys that stand over params.yaml.
        keep_going: whether what does not need a failed job is made all the same.

    Raises:
        UserError: something is missing, and there is no Snakefile here.
    """
    missing = [str(target) for target in targets if not target.is_file()]
    if not missing:
        return 0
    require_snakefile(root)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores or "all")]
    command += ["--keep-going"] if keep_going else []
    values = [f"{key}={json.dumps(value)}" for key, value in config.items()]
    words = ["--config", *values] if values else []
    return _to_its_end([*command, *missing, *words], root)


def _to_its_end(command: Sequence[str], root: Path) -> int:
    """Run a command and wait until it has ended, also at Ctrl-C; returns its exit code.

    A terminal sends Ctrl-C to Snakemake and to its jobs as well as to this process. They need time:
    jobs that are killed lose their work since the last checkpoint. SIGTERM is passed on.
    """
    process: subprocess.Popen[bytes] | None = None

    def wait(number: int, frame: FrameType | None) -> None:
        if process and number == signal.SIGTERM:
            process.terminate()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, wait) for number in numbers]  # not inherited, being functions
    try:
        process = subprocess.Popen(command, cwd=root, env=_environment())
        return process.wait()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """This process's environment, in which its own programs are found without being activated."""
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, PART: "1"}
