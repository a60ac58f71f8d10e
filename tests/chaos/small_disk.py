"""A small disk for a project under fire, so that it can be really full.

Needs the right to mount (root on Linux). Without it projects lie on the disk that there is, and
faults that need a disk of their own have nothing to hit.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = "256m"
BLOCK = bytes(1 << 20)


def mount(*words: str | Path) -> bool:
    """Whether a call of `mount` did what it was asked for."""
    if os.geteuid() or shutil.which("mount") is None:
        return False
    return subprocess.run(("mount", *map(str, words)), capture_output=True).returncode == 0


def unmount(folder: Path) -> None:
    """Also where processes still have files open there."""
    subprocess.run(("umount", "--lazy", str(folder)), check=True, capture_output=True)


def is_small(folder: Path) -> bool:
    """Whether a folder is a small disk."""
    return os.path.ismount(folder)


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """Make a folder a small disk for a while, where that is allowed; it is gone afterwards."""
    while is_small(folder):  # of a call that was killed
        unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mounted = mount("-t", "tmpfs", "-o", f"size={SIZE}", "kdbench-chaos", folder)
    try:
        yield
    finally:
        if mounted:
            unmount(folder)


@contextmanager
def full(folder: Path, left: int = 0) -> Iterator[None]:
    """Leave so many bytes of a small disk free for a while."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                while file.write(BLOCK):
                    pass
            file.truncate(max(0, file.tell() - left))
        yield
    finally:
        ballast.unlink()
