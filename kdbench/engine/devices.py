"""Which device a job computes on; each GPU is given to one job at a time."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from kdbench.errors import BadValue, UserError
from kdbench.store.gpu_sharing import runs_per_gpu

NO_MPS = "some losses and searches count in float64, which Apple's MPS does not have"
POLL = 0.5  # seconds
FOR_EVERYBODY = 0o666  # mode of the lock files, whatever the umask
SHARED = Path("/tmp")
_claimed: dict[Path, tuple[int, FileLock]] = {}


def choose_device() -> torch.device:
    """The device of this process: KDBENCH_DEVICE, else a free visible GPU, else the CPU.

    A GPU is NVIDIA's (CUDA) or AMD's (ROCm), which PyTorch calls "cuda" too. Apple's are refused.

    Snakemake only counts GPUs. One lock file per device gives each job its own; the kernel frees it
    when the process ends, also on SIGKILL. Where Slurm shows a job exactly one GPU, Slurm has
    chosen, and nothing is locked; processes of one allocation with several GPUs share them out.
    Where KDBENCH_RUNS_PER_GPU lets several runs share a GPU, each device has so many locks; the
    first ones of all devices are taken before any second. Ranks of one run never share.

    Raises:
        BadValue: KDBENCH_DEVICE names no device of this machine, or more ranks than GPUs are here.
            KDBENCH_RUNS_PER_GPU is no such number.
        UserError: no GPU's lock file can be opened.
    """
    name = os.environ.get("KDBENCH_DEVICE", "")
    if name:
        return _named(name)
    count = torch.cuda.device_count()
    if count == 0:
        return torch.device("cpu")
    here = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if here.isdigit() and int(here) > count:  # torchrun says it, whose ranks all see the same
        expected = f"at most {count}, the GPUs that processes see here"
        raise BadValue("LOCAL_WORLD_SIZE", here, expected, "a rank needs a GPU of its own")
    if count == 1 and "SLURM_JOB_ID" in os.environ:
        return torch.device("cuda", 0)
    together = 1 if os.environ.get("WORLD_SIZE", "1") != "1" else runs_per_gpu()
    slot = claim_slot(_places(_identities(count), together), _lock_folder())
    return torch.device("cuda", slot % count)


def _places(identities: Sequence[str], together: int) -> list[str]:
    """A name per place for a run: all devices, then all of them once more, and so on."""
    further = [f"{name}-{place}" for place in range(2, together + 1) for name in identities]
    return [*identities, *further]


def claim_slot(identities: Sequence[str], folder: Path) -> int:
    """Lock one of several devices for the life of this process; waits where all are taken.

    A process that asks again, for its next run, is given the device that it has. The lock files
    stay: they are empty, and all users of the machine can lock them.

    Args:
        identities: a name per device, the same in every process that sees the device.
        folder: of the lock files, the same for all processes.

    Returns:
        The place of the locked device in `identities`.

    Raises:
        UserError: none of the lock files can be opened.
    """
    if folder in _claimed:
        return _claimed[folder][0]
    names = [folder / f"kdbench-gpu-{identity}.lock" for identity in identities]
    locks = [
        FileLock(name, mode=FOR_EVERYBODY, thread_local=False, fallback_to_soft=False)
        for name in names
    ]
    while (slot := _first_free(locks)) is None:
        time.sleep(POLL)
    _claimed[folder] = slot, locks[slot]
    return slot


def _first_free(locks: Sequence[FileLock]) -> int | None:
    """Lock the first that nobody holds; None where all are held. Forbidden ones are passed over."""
    refusals = []
    for slot, lock in enumerate(locks):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        except PermissionError as error:
            refusals.append(error)
        else:
            return slot
    if len(refusals) == len(locks):
        first = refusals[0]
        raise UserError(
            f"{first.filename}: {first.strerror}, so no GPU can be taken; delete the file (its "
            "owner can), or name a device in KDBENCH_DEVICE"
        )
    return None


def _identities(count: int) -> list[str]:
    """What each visible device is called by every process, whatever else each of them sees.

    `CUDA_VISIBLE_DEVICES` and Slurm number devices anew, so a number does not say which GPU it is.
    The parts of a divided GPU are told apart by their names in that variable alone.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if len(visible) == count and all(name.startswith("MIG-") for name in visible):
        return [name.replace("/", "-") for name in visible]
    return [str(torch.cuda.get_device_properties(device).uuid) for device in range(count)]


def _lock_folder() -> Path:
    """One for all users of the machine: TMPDIR differs between users and jobs."""
    shared = SHARED.is_dir() and os.access(SHARED, os.W_OK)
    return SHARED if shared else Path(tempfile.gettempdir())


def _named(name: str) -> torch.device:
    if name.partition(":")[0] == "mps":
        raise BadValue("KDBENCH_DEVICE", name, "a device with float64, such as 'cpu'", NO_MPS)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise BadValue("KDBENCH_DEVICE", name, "a device of this machine", first) from None
    return device
