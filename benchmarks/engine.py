"""What kdbench's training loop costs beside the network's own forward and backward pass.

    python benchmarks/engine.py --rounds 15

Two loops take turns in one process, so that whatever else the machine does hits both. The bare one
has its batches made and normalised beforehand: forward, cross-entropy, backward, a step of
`torch.optim.SGD`. The other is the loop of a real run: the in-memory loader with crop, flip and
normalisation, the schedule, the sums of the losses, the stopper; on CUDA its steps are replayed,
unless KDBENCH_GRAPHS is "off". Printed is the median over rounds
of the ratio of both times, with the first and third quartile, and the time of a step.

Expect, in float32 on one thread at batch 64: below 5 % at 32 x 32 images, where the target is; at
8 x 8 the networks themselves take so little time that more of it shows.
"""

import argparse
import platform
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.engine.cuda_graphs import replayed
from kdbench.engine.devices import choose_device
from kdbench.engine.fit import fit
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.precision import Precision, prepare_process
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.exhibits.protocols import REVIEW
from kdbench.exhibits.recipe import Recipe
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class
from kdbench.runs.steps import TrainStep
from kdbench.store.parts import Runtime

CLASSES = 100
Loop = Callable[[], None]


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["wrn-16-2", "wrn-40-2"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 8], help="sides of images")
    parser.add_argument("--batch", type=int, default=64, help="images a batch")
    parser.add_argument("--rounds", type=int, default=15, help="pairs of measurements")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def make_network(name: str, size: int) -> StagedNetwork:
    """A network as a run would build it."""
    component = find_components().get("network", name, where="engine")
    cls = find_class(component)
    torch.manual_seed(0)
    network: StagedNetwork = cls(**component.arguments, classes=CLASSES, image=(3, size, size))
    return network.train()


def make_loader(recipe: Recipe, size: int, steps: int, precision: Precision) -> InMemoryLoader:
    """A loader of noise with so many batches in an epoch."""
    rng, images = np.random.RandomState(0), steps * recipe.batch
    return InMemoryLoader(
        rng.randint(0, 256, (images, size, size, 3)).astype(np.uint8),
        rng.randint(0, CLASSES, images).astype(np.int64),
        batch=recipe.batch,
        augment=Augment.parse(recipe.augment),
        mean=recipe.mean,
        std=recipe.std,
        seed=0,
        device=precision.device,
        memory_format=precision.memory_format,
    )


def bare_loop(network: StagedNetwork, recipe: Recipe, loader: InMemoryLoader) -> Loop:
    """One epoch a call, over batches that are made now."""
    optimiser = make_optimiser(recipe, network)
    batches = list(loader.epoch(0))

    def loop() -> None:
        for batch in batches:
            loss = F.cross_entropy(network(batch.images), batch.labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return loop


def our_loop(
    network: StagedNetwork,
    recipe: Recipe,
    loader: InMemoryLoader,
    precision: Precision,
    folder: Path,
) -> Loop:
    """One epoch a call of a training as a run does it."""
    optimiser = make_optimiser(recipe, network)
    step = TrainStep(network, None, None, 1.0, optimiser, recipe, loader.steps, precision)
    state = TrainState(folder, "benchmark", {"student": network, "optimiser": optimiser})
    whole = replayed(step, state.parts, precision.device, step.uncaptured, print)
    epochs = fit(state, whole, loader, recipe.epochs, Stopper(checkpoint_seconds=1e9))
    return lambda: state.log(next(epochs))


def measure(network: str, size: int, asked: argparse.Namespace, folder: Path) -> str:
    """One line of the table."""
    recipe = Recipe(**{**REVIEW.as_dict(), "batch": asked.batch, "epochs": 10**6})
    runtime = Runtime(threads=asked.threads, precision="float32", channels_last=False)
    precision = prepare_process(runtime, choose_device())
    ours, bare = (make_network(network, size).to(precision.device) for _ in range(2))
    steps = steps_in(asked.seconds, bare, asked.batch, size)
    loader = make_loader(recipe, size, steps, precision)
    loops = [bare_loop(bare, recipe, loader), our_loop(ours, recipe, loader, precision, folder)]
    for loop in loops:
        loop()
    times: tuple[list[float], list[float]] = ([], [])
    turns = cycle([(0, 1), (1, 0)])
    for order, _ in zip(turns, range(asked.rounds), strict=False):
        for side in order:
            times[side].append(seconds_of(loops[side], precision.device))
    ratios = [ours / bare for bare, ours in zip(*times, strict=True)]
    first, _, third = quantiles(ratios, n=4)
    per_step = [1000 * median(side) / steps for side in times]
    return (
        f"| {network} | {size} x {size} | {per_step[0]:.1f} | {per_step[1]:.1f} "
        f"| {100 * (median(ratios) - 1):+.1f} % "
        f"| {100 * (first - 1):+.1f} to {100 * (third - 1):+.1f} % | {asked.rounds} x {steps} |"
    )


def steps_in(seconds: float, network: StagedNetwork, batch: int, size: int) -> int:
    """How many steps take about so long, at least two."""
    device = next(network.parameters()).device
    images = torch.randn(batch, 3, size, size, device=device)
    work: Loop = lambda: network(images).sum().backward()  # noqa: E731
    times = [seconds_of(work, device) for _ in range(3)]
    network.zero_grad()
    return max(2, round(seconds / min(times)))


def seconds_of(work: Loop, device: torch.device) -> float:
    """How long it takes, the device's queue emptied before and after."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began = perf_counter()
    work()
    wait()
    return perf_counter() - began


def main() -> None:
    """Measure and print."""
    asked = read_arguments()
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{choose_device()}, "
        f"{asked.threads} thread(s), float32, batch {asked.batch}, SGD, crop and flip\n"
    )
    print("| network | images | bare, ms a step | kdbench, ms a step | overhead | quartiles | n |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in asked.sizes:
            for network in asked.networks:
                print(measure(network, size, asked, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
