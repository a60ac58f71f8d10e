"""Several trainings at once in one process against one after the other: python benchmarks/lanes.py.

    python benchmarks/lanes.py --lanes 1 2 4 --methods none kd --seconds 3

Each training is that of a run of the plan (DistPro, Table 1, one pair, scale paper), as
`gpu_grid.py` builds it, on noise. Both sides take the same number of steps, in turn. A lane has a
stream and memory of its own, so on a GPU the kernels of all can run at once; on a CPU there is
nothing to gain.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from gpu_grid import kinds
from machine import about, wait, write

from kdbench.engine import lanes
from kdbench.engine.devices import choose_device
from kdbench.engine.precision import prepare_process
from kdbench.plan.components import find_components
from kdbench.runs.estimate.lengths import DataSize, data_size
from kdbench.runs.estimate.noise import NoiseInputs
from kdbench.runs.estimate.trial import build_trial
from kdbench.store.parts import Runtime
from kdbench.store.paths import Paths
from kdbench.store.teacher_runs import DataRun

ROUNDS = 3


def trainings(kind: Any, count: int, size: Any, scratch: Path) -> list[tuple[Any, int, int]]:
    """So many trainings of a kind that are warm, each with an epoch and a batch to take."""
    device = choose_device()
    runtime = Runtime(threads=1, precision=precision_for(device), channels_last=True)
    precision, made = prepare_process(runtime, device), []
    run = replace(kind.run, runtime=runtime)
    inputs = NoiseInputs(Paths(), scratch=scratch, sizes=size, precision=precision, blank=None)
    for _ in range(count):
        trial = build_trial(run, inputs, kind.length, precision)
        epoch, batch = trial.epochs // 2, run.recipe.batch
        trial.take(epoch, batch)
        trial.warm_up(epoch, batch)
        made.append((trial, epoch, batch))
    return made


def precision_for(device: torch.device) -> str:
    """bfloat16 where it is fast."""
    return "bf16" if device.type == "cuda" else "float32"


def steps(training: tuple[Any, int, int], count: int) -> None:
    """Take so many steps of one training; in a lane the others have theirs between them."""
    trial, epoch, batch = training
    with lanes.turn():
        for _ in range(count):
            trial.take(epoch, batch)
            lanes.pass_on()


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of some work, with what the device still does."""
    wait(device)
    begun = perf_counter()
    work()
    wait(device)
    return perf_counter() - begun


def one_by_one(tasks: list[Callable[[], None]]) -> None:
    """Do all of the tasks."""
    for task in tasks:
        task()


def compare(several: list[tuple[Any, int, int]], seconds: float) -> tuple[float, float]:
    """Median seconds of a round of steps, one after the other and in lanes."""
    device, number = choose_device(), len(several)

    def tasks(count: int) -> list[Callable[[], None]]:
        return [partial(steps, one, count) for one in several]

    count = max(1, round(seconds / ROUNDS / 2 / timed(partial(one_by_one, tasks(1)), device)))
    apart, beside = [], []
    for _ in range(ROUNDS):
        apart.append(timed(partial(one_by_one, tasks(count)), device))
        beside.append(timed(partial(lanes.in_lanes, tasks(count), number, device), device))
    return median(apart) / count, median(beside) / count


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", default="wrn-40-2:wrn-16-2")
    parser.add_argument("--methods", nargs="+", default=["none", "kd"])
    parser.add_argument("--lanes", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each comparison")
    parser.add_argument("--out", type=Path, help="folder of the JSON file; benchmarks/results")
    asked = parser.parse_args()
    components, sizes, rows = find_components(), dict[str, DataSize](), []

    def size(run: DataRun) -> DataSize:
        return sizes.setdefault(run.digest, data_size(run, components, Paths()))

    print("| step | lanes | one after the other, ms | in lanes, ms | times |\n" + "|---" * 5 + "|")
    for method, kind in kinds(asked.pair, asked.methods, size):
        for count in asked.lanes:
            with tempfile.TemporaryDirectory() as folder:
                several = trainings(kind, count, size, Path(folder))
                apart, beside = compare(several, asked.seconds)
            rows.append({"method": method, "lanes": count, "apart": apart, "beside": beside})
            times = f"{1000 * apart:.2f} | {1000 * beside:.2f} | {apart / beside:.2f}"
            print(f"| {method} | {count} | {times} |", flush=True)
    print(write("lanes", {"about": about(1), "pair": asked.pair, "rows": rows}, asked.out))


if __name__ == "__main__":
    main()
