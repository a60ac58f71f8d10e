"""Programs that kdbench calls: Snakemake, and through it kdbench itself."""

import os
import sys
from pathlib import Path

PART = "KDBENCH_PART"  # set where Snakemake is called for a part of the plan


def environment() -> dict[str, str]:
    """This process's environment, in which its own programs are found without being activated."""
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, PART: "1"}
