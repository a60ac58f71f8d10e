"""Which device a job computes on; each local GPU is given to one job at a time."""

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import torch

from kdbench.errors import BadValue

POLL = 0.5  # seconds
_held: dict[Path, tuple[int, IO[str]]] = {}


def choose_device() -> torch.device:
    """The device of this process: KDBENCH_DEVICE, else a free local GPU, else the CPU.

    Snakemake only counts GPUs. A lock file a device gives each job its own; the kernel frees it
    when the process ends, also on SIGKILL. Under Slurm the scheduler's choice is left alone.

    Raises:
        BadValue: KDBENCH_DEVICE names no device of this machine.
    """
    wanted = os.environ.get("KDBENCH_DEVICE", "")
    if wanted:
        return _named(wanted)
    count = torch.cuda.device_count()
    if count == 0:
        return torch.device("cpu")
    if "SLURM_JOB_ID" in os.environ:
        return torch.device("cuda", 0)
    return torch.device("cuda", claim_slot(count, Path(tempfile.gettempdir())))


def claim_slot(count: int, folder: Path) -> int:
    """Lock one of `count` slots for the life of this process; waits where all are taken.

    A process that asks again, for its next run, is given the slot that it has.
    """
    if folder in _held:
        return _held[folder][0]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-")
    names = [folder / f"kdbench-gpu-{visible}-{slot}.lock" for slot in range(count)]
    files = [open(name, "a", opener=_for_everybody) for name in names]  # noqa: SIM115
    while (slot := next((s for s, file in enumerate(files) if _is_free(file)), None)) is None:
        time.sleep(POLL)
    _held[folder] = slot, files.pop(slot)
    for file in files:
        file.close()
    return slot


def _for_everybody(name: str, flags: int) -> int:
    """Open a lock file that other users of the machine can open as well."""
    descriptor = os.open(name, flags, 0o666)
    with suppress(OSError):
        os.fchmod(descriptor, 0o666)  # against the umask; not ours to change is fine
    return descriptor


def _is_free(file: IO[str]) -> bool:
    """Whether the slot's lock could be had; it is held then."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _named(wanted: str) -> torch.device:
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise BadValue("KDBENCH_DEVICE", wanted, "a device of this machine", first) from None
    return device
