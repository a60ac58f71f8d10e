"""Largest memory of one run, also where a process does several."""

import platform
import re
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESIDENT = "5"  # what resets the peak of resident memory, and nothing else (man 5 proc)


def forget_peak(device: torch.device) -> None:
    """Reset the peak; where the system cannot (not Linux), peaks are those of the process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        CLEAR.write_text(RESIDENT)
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Largest memory since `forget_peak` (CPU: resident; GPU: allocated by torch), in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        peak = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="ascii"))
    except OSError:
        peak = None
    if peak:
        return int(peak[1]) * 1024
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
