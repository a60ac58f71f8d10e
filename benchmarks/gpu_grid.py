"""What a training step takes on a GPU, by number format, memory format, recorded or not.

    python benchmarks/gpu_grid.py
    python benchmarks/gpu_grid.py --grid bf16:nhwc:on --methods none kd --seconds 3

Each row is the step of a run of the plan (DistPro, Table 1, one pair, scale paper), as the run
builds it, on noise: the loader, the teacher's pass, both losses, the optimiser. `on` replays
recorded steps where the method has such, `off` launches every operation. The first steps, which
warm up, record and compare, are left out. Beside the seconds stand images and multiply-adds per
second, and these as a share of the fastest 3 x 3 convolution and of an 8192 x 8192 matrix product
in the same process and number format. Of steps that are not replayed results/gpu_grid.json, which
has the medians, also says which share of the device's time each kind of operation takes.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from machine import about, peak, wait, write
from operations import shares

from kdbench.engine.cuda_graphs import SETTING
from kdbench.engine.devices import choose_device
from kdbench.engine.memory import forget_peak, peak_memory
from kdbench.engine.precision import prepare_process
from kdbench.engine.replay import Replay
from kdbench.plan.components import find_components
from kdbench.runs.estimate.kinds import Kind, kinds_of
from kdbench.runs.estimate.lengths import DataSize, data_size
from kdbench.runs.estimate.noise import NoiseInputs
from kdbench.runs.estimate.trial import build_trial, save_blank
from kdbench.runs.search import SearchStep
from kdbench.store.parts import Runtime
from kdbench.store.paths import Paths
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import DataRun
from kdbench.workflow.estimate import find_target

GRID = [
    f"{precision}:{layout}:{graphs}"
    for graphs in ("off", "on")
    for precision, layout in (
        ("float32", "nchw"),
        ("float32", "nhwc"),
        ("tf32", "nhwc"),
        ("bf16", "nchw"),
        ("bf16", "nhwc"),
    )
]
METHODS = ["teacher", "none", "kd", "reviewkd", "equal", "distpro", "search"]
AT_ONCE = 10  # steps between two looks at the clock
SIDE = 8192  # of the matrices whose product is the card's peak


def kinds(pair: str, methods: list[str], size: Any) -> Iterator[tuple[str, Kind]]:
    """The kinds of work of the exhibit's runs, by what this table calls them."""
    wanted = {"exhibits": ["distpro/table1"], "pairs": [pair], "seeds": 1, "scale": "paper"}
    graph, _ = find_target(Path(), {**wanted, "methods_only": []}, None)
    first: dict[str, Kind] = {}
    for kind in {id(kind): kind for kind in kinds_of(graph.runs.values(), size).values()}.values():
        run = kind.run
        name = run.method.name if isinstance(run, StudentRun) else run.phase
        first.setdefault(name, kind)
    yield from ((name, first[name]) for name in methods if name in first)


def measure(kind: Kind, runtime: Runtime, size: Any, seconds: float, scratch: Path) -> Any:
    """Median seconds of a step, its multiply-adds, the peak of memory, and whether it is replayed.

    Args:
        kind: of work.
        runtime: number format and memory format.
        size: gives the size of a run's data.
        seconds: to time.
        scratch: folder for weights of no training.
    """
    device = choose_device()
    precision = prepare_process(runtime, device)
    run = replace(kind.run, runtime=runtime)

    def blank(search: SearchRun, folder: Path) -> None:
        save_blank(search, folder, inputs, precision)

    inputs = NoiseInputs(Paths(), scratch=scratch, sizes=size, precision=precision, blank=blank)
    forget_peak(device)
    trial = build_trial(run, inputs, kind.length, precision)
    epoch, batch = trial.epochs // 2, run.recipe.batch
    macs = trial.count_whole(epoch, batch)
    trial.take(epoch, batch)
    trial.warm_up(epoch, batch)
    times, begun = list[float](), perf_counter()
    while len(times) < 2 or perf_counter() - begun < seconds:
        wait(device)
        start = perf_counter()
        for _ in range(AT_ONCE):
            trial.take(epoch, batch)
        wait(device)
        times.append((perf_counter() - start) / AT_ONCE)
    replayed = replayed_steps(trial.step)
    return {
        "operations": {} if replayed else shares(lambda: trial.take(epoch, batch), device),
        "seconds": median(times),
        "batch": batch,
        "multiply_adds": macs,
        "memory": peak_memory(device),
        "replayed": replayed > 0,
    }


def replayed_steps(step: Any) -> int:
    """How many steps were replayed; a search's step has the recorded one inside."""
    replay = step.replayed if isinstance(step, SearchStep) else step
    return replay.replayed if isinstance(replay, Replay) else 0


def matrix_peak(kind: torch.dtype, device: torch.device) -> float:
    """Multiply-adds per second of a large matrix product."""
    side = SIDE if device.type == "cuda" else SIDE // 16
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    times = []
    for _ in range(8):
        wait(device)
        begun = perf_counter()
        one @ other
        wait(device)
        times.append(perf_counter() - begun)
    return float(side**3 / min(times))


def peaks(names: set[str], layout: torch.memory_format, device: torch.device) -> dict[str, Any]:
    """The fastest convolution and matrix product per number format."""
    found: dict[str, Any] = {}
    for name in sorted(names):
        prepare_process(Runtime(threads=1, precision=name, channels_last=True), device)
        kind = torch.bfloat16 if name == "bf16" else torch.float32
        product = matrix_peak(kind, device)
        found[name] = {"convolution": peak(kind, layout, 128, device), "product": product}
    return found


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", default="wrn-40-2:wrn-16-2")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--grid", nargs="+", default=GRID, help="format:layout:graphs")
    parser.add_argument("--seconds", type=float, default=0.4, help="of one measurement")
    parser.add_argument("--minutes", type=float, default=10.0, help="none begins later")
    parser.add_argument("--name", default="gpu_grid", help="of the results file")
    parser.add_argument("--out", type=Path, help="its folder; benchmarks/results")
    return parser.parse_args()


def line(row: dict[str, Any], best: dict[str, Any]) -> str:
    """One line of the table."""
    if "seconds" not in row:
        return f"| {row['method']} | {row['runtime']} | {row['failed']} |"
    speed = row["multiply_adds"] / row["seconds"]
    share = [f"{100 * speed / best[key]:.1f} %" for key in ("convolution", "product")]
    return (
        f"| {row['method']} | {row['runtime']} | {1000 * row['seconds']:.2f} "
        f"| {row['batch'] / row['seconds']:.0f} | {speed / 1e12:.2f} | {share[0]} | {share[1]} "
        f"| {row['memory'] / 2**30:.2f} | {'yes' if row['replayed'] else 'no'} |"
    )


def main() -> None:
    """Measure and write."""
    asked = read_arguments()
    device, begun, components = choose_device(), perf_counter(), find_components()
    sizes: dict[str, DataSize] = {}

    def size(run: DataRun) -> DataSize:
        return sizes.setdefault(run.digest, data_size(run, components, Paths()))

    formats = {entry.partition(":")[0] for entry in asked.grid}
    best = peaks(formats, torch.channels_last, device)
    for name, one in best.items():
        terms = ", ".join(f"{key} {value / 1e12:.1f}" for key, value in one.items())
        print(f"{name}: T multiply-adds per second: {terms}", flush=True)
    columns = "step, format, ms, images/s, T multiply-adds/s, of the convolution, of the product"
    print("| " + " | ".join([*columns.split(", "), "GiB", "replayed"]) + " |\n" + "|---" * 9 + "|")
    rows = []
    for entry in asked.grid:
        name, layout, graphs = entry.split(":")
        os.environ[SETTING] = graphs
        runtime = Runtime(threads=1, precision=name, channels_last=layout == "nhwc")
        for method, kind in kinds(asked.pair, asked.methods, size):
            if perf_counter() - begun > 60 * asked.minutes:
                break
            row = {"method": method, "runtime": entry}
            try:
                with tempfile.TemporaryDirectory() as folder:
                    row |= measure(kind, runtime, size, asked.seconds, Path(folder))
            except Exception as error:  # one that fails must not hide the others
                row["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            rows.append(row)
            print(line(row, best[name]), flush=True)
    content = {"about": about(1), "pair": asked.pair, "peaks": best, "rows": rows}
    print(write(asked.name, content, asked.out))


if __name__ == "__main__":
    main()
