"""How many runs may share one GPU, as the user says."""

import os

from kdbench.errors import BadValue

SETTING = "KDBENCH_RUNS_PER_GPU"  # environment
MOST = 48  # clients of NVIDIA's multi-process service per GPU


def runs_per_gpu() -> int:
    """Runs that may compute on one GPU at a time: what KDBENCH_RUNS_PER_GPU says, else 1.

    Raises:
        BadValue: it is no such number.
    """
    text = os.environ.get(SETTING, "") or "1"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise BadValue(SETTING, text, f"a whole number from 1 to {MOST}")
    return int(text)
