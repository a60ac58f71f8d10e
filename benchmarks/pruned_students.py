"""How fast a pruned student is beside the gated network that computes the same, and the whole one.

    python benchmarks/pruned_students.py --rounds 5
    python benchmarks/pruned_students.py --structure FOLDER   # of a search, with structure.json

Without a structure, gates are closed at random, which is the dearest way: layers that read the same
map keep different channels of it, and have to gather them. All sides run in one process, turn by
turn, on noise, in float32 and channels-last: one image and a batch without gradients, and a
training step (forward, cross-entropy, backward) of a batch. The outputs of the first two are
compared before anything is timed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from losses import milliseconds
from metagradient import network as fresh
from torch import Tensor, nn

from kdbench.engine.precision import Precision, prepare_process
from kdbench.evaluate.cost import multiply_adds
from kdbench.models.pruning.build import (
    build_pruned,
    gated,
    layout_of,
    layouts,
    strengths_of,
    structure_of,
    transfer_weights,
)
from kdbench.models.pruning.gates import Gates, gated_modules
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork
from kdbench.store.parts import Runtime

NETWORKS = ("densenet-bc-100-12", "densenet-40-12", "wrn-40-2", "resnet110", "vgg13")
IMAGE, CLASSES = (3, 32, 32), 100
PRECISION = Precision("float32", True, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def close_at_random(gates: Gates, share: float) -> None:
    """Leave a share of every reader's channels open, at least one."""
    for values in gates.by_reader(gates.values).values():
        count = max(1, round(share * len(values)))
        values.zero_()[torch.randperm(len(values))[:count]] = 1.0


def close_as_searched(network: StagedNetwork, structure: Structure) -> None:
    """Leave open what a structure keeps."""
    for name, module in gated_modules(network).items():
        values = torch.zeros_like(module.gate)
        values[structure.kept[name]] = 1.0
        module.gate.data.copy_(values)


def whole(given: str | Structure) -> StagedNetwork:
    """The network of that name, or the one that a structure was pruned from."""
    if isinstance(given, str):
        return fresh(given, IMAGE[1])
    return layouts()[given.family].family(**given.arguments, classes=CLASSES, image=IMAGE)


def sides(given: str | Structure, share: float) -> dict[str, StagedNetwork]:
    """The whole network, the same with closed gates, and the pruned student."""
    masked = whole(given)
    gates = gated(masked)
    if isinstance(given, Structure):
        close_as_searched(masked, given)
    else:
        close_at_random(gates, share)
    plan = layout_of(masked).plan(strengths_of(masked))
    with torch.no_grad():  # what no path reaches is closed too
        for reader, module in gated_modules(masked).items():
            module.gate.mul_(torch.from_numpy(plan.kept[reader]))
    pruned = build_pruned(structure_of(masked, plan, {}), CLASSES, IMAGE)
    transfer_weights(masked, pruned)
    networks = {"whole": whole(given), "gated": masked, "pruned": pruned}
    return {side: PRECISION.place(network) for side, network in networks.items()}


def noise(batch: int) -> Tensor:
    """(batch, 3, 32, 32) on the device."""
    images = torch.randn(batch, *IMAGE, device=PRECISION.device)
    return images.contiguous(memory_format=PRECISION.memory_format)


def inference(network: StagedNetwork, images: Tensor) -> Callable[[], Any]:
    """A forward pass in eval mode without gradients."""

    def work() -> None:
        network.eval()
        with torch.inference_mode():
            network(images)

    return work


def training(network: StagedNetwork, images: Tensor) -> Callable[[], Any]:
    """A forward and a backward pass in training mode."""
    labels = torch.randint(CLASSES, (len(images),), device=PRECISION.device)

    def work() -> None:
        network.train()
        network.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()

    return work


def medians(works: dict[str, Callable[[], Any]], rounds: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each, turn by turn; the first pass of each does not count."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            spent[name] += [milliseconds(work, PRECISION.device) for _ in range(repeats)]
    return {name: median(times) for name, times in spent.items()}


def measure(title: str, networks: dict[str, StagedNetwork], options: argparse.Namespace) -> None:
    """Print the sizes and the times of the three sides."""
    images = noise(options.batch)
    with torch.inference_mode():
        masked, pruned = (networks[side].eval()(images) for side in ("gated", "pruned"))
    apart = float((masked - pruned).abs().max() / masked.abs().max())
    counts = {side: multiply_adds(network, IMAGE) / 1e6 for side, network in networks.items()}
    weights = {
        side: sum(p.numel() for p in network.parameters()) / 1e6
        for side, network in networks.items()
    }
    print(f"{title}: outputs of gated and pruned are {apart:.1e} apart")
    print(f"    {'':24}" + "".join(f"{side:>10}" for side in networks) + "   pruned: times faster")
    tasks = {
        "one image, ms": (inference, noise(1), 10),
        f"{options.batch} images, ms": (inference, images, 1),
        f"training {options.batch}, ms": (training, images, 1),
    }
    for label, values in (("parameters, M", weights), ("multiply-adds, M", counts)):
        print(f"    {label:24}" + "".join(f"{values[side]:10.2f}" for side in networks))
    for label, (kind, given, repeats) in tasks.items():
        works = {side: kind(network, given) for side, network in networks.items()}
        spent = medians(works, options.rounds, repeats)
        ratios = " and ".join(f"{spent[s] / spent['pruned']:.2f} than {s}" for s in networks)
        row = "".join(f"{spent[side]:10.1f}" for side in networks)
        print(f"    {label:24}{row}   {ratios.rpartition(' and ')[0]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--open", type=float, default=0.5, help="share of every layer's inputs")
    parser.add_argument("--structure", type=Path, metavar="FOLDER", help="of a search")
    parser.add_argument("--only", nargs="+", default=list(NETWORKS), metavar="NETWORK")
    options = parser.parse_args()
    runtime = Runtime(threads=options.threads, precision="float32", channels_last=True)
    prepare_process(runtime, PRECISION.device)
    torch.manual_seed(0)
    print(f"{PRECISION.device}, {options.threads} thread(s), float32, torch {torch.__version__}")
    if options.structure is not None:
        measure(str(options.structure), sides(Structure.load(options.structure), 1.0), options)
        return
    for name in options.only:
        title = f"{name}, {options.open:.0%} of every layer's inputs open, at random"
        measure(title, sides(name, options.open), options)


if __name__ == "__main__":
    main()
