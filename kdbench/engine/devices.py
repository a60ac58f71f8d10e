"""Which device a job computes on; each local GPU is given to one job at a time."""

import os
import tempfile
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from kdbench.errors import BadValue

POLL = 0.5  # seconds
FOR_EVERYBODY = 0o666  # mode of the lock files, whatever the umask
_claimed: dict[Path, tuple[int, FileLock]] = {}


def choose_device() -> torch.device:
    """The device of this process: KDBENCH_DEVICE, else a free local GPU, else the CPU.

    Snakemake only counts GPUs. One lock file per device gives each job its own; the kernel frees it
    when the process ends, also on SIGKILL. Under Slurm the scheduler's choice is left alone.

    Raises:
        BadValue: KDBENCH_DEVICE names no device of this machine.
    """
    name = os.environ.get("KDBENCH_DEVICE", "")
    if name:
        return _named(name)
    count = torch.cuda.device_count()
    if count == 0:
        return torch.device("cpu")
    if "SLURM_JOB_ID" in os.environ:
        return torch.device("cuda", 0)
    return torch.device("cuda", claim_slot(count, Path(tempfile.gettempdir())))


def claim_slot(count: int, folder: Path) -> int:
    """Lock one of `count` slots for the life of this process; waits where all are taken.

    A process that asks again, for its next run, is given the slot that it has. The lock files stay:
    they are empty, and all users of the machine can lock them.
    """
    if folder in _claimed:
        return _claimed[folder][0]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-")
    names = [folder / f"kdbench-gpu-{visible}-{slot}.lock" for slot in range(count)]
    locks = [FileLock(name, mode=FOR_EVERYBODY, thread_local=False) for name in names]
    while (slot := next((s for s, lock in enumerate(locks) if _try(lock)), None)) is None:
        time.sleep(POLL)
    _claimed[folder] = slot, locks[slot]
    return slot


def _try(lock: FileLock) -> bool:
    """Take a lock without waiting; whether it could be had."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise BadValue("KDBENCH_DEVICE", name, "a device of this machine", first) from None
    return device
