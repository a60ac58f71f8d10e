"""Programs that kdbench calls: Snakemake, and through it kdbench itself."""

import os
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """This process's environment, in which its own programs are found without being activated."""
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([folder, os.environ.get("PATH", "")])}
