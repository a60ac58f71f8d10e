"""Keeps the file of a run in progress up to date while its steps are taken."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kdbench.store.record import thinned
from kdbench.store.running import Running, write_running
from kdbench.store.spec import RunSpec

EVERY = 5.0  # seconds between two states; a run that takes less writes none


def follow(
    spec: RunSpec,
    file: Path,
    device: str,
    tick: Callable[[], None],
    *,
    total: int,
    done: int,
    curves: Mapping[str, Sequence[float]],
    every: float = EVERY,
) -> Callable[[], None]:
    """What to call after every step, in place of `tick`: it renews the run's file now and then.

    Nothing here changes a number, and no error of the disk stops the training.

    Args:
        spec: the run.
        file: see `kdbench.store.running`.
        device: where it computes.
        tick: called at every step as well.
        total: steps that there are.
        done: those that are done.
        curves: values by name, to which the training adds.
        every: seconds.
    """
    begun, started, written = done, time.time(), time.monotonic()

    def step() -> None:
        nonlocal done, written
        tick()
        done += 1
        if time.monotonic() - written >= every:
            write_running(file, state())
            written = time.monotonic()

    def state() -> Running:
        return Running(
            digest=spec.digest,
            phase=spec.phase,
            dataset=spec.dataset,
            cell=spec.cell,
            host=platform.node(),
            pid=os.getpid(),
            device=device,
            started=started,
            updated=time.time(),
            begun=begun,
            done=done,
            total=total,
            curves={name: thinned(values) for name, values in curves.items()},
        )

    return step
