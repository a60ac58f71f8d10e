"""How far each way of taking DistPro's meta-gradient is from the exact one, and what it costs.

    python benchmarks/metagradient.py --teacher wrn-40-2 --student wrn-16-2 --batch 16 --threads 1

The reference differentiates through the whole virtual step, in float64. Each line is the relative
error of one variant, |variant - exact| / |exact| over all pathways, and the time of one gradient
(the forward pass at the real weights is not counted, for the reference it is). Networks are freshly
initialised and the student first takes a few real steps, so that its momentum is not empty; images
are random unless a folder of prepared data is given.

Expect, with the default pair: the central difference errs by some 5 to 10 % in float32 and float64
alike (it is its step, not rounding), and by more than its value under bfloat16 autocast; the
forward-mode derivative by 1e-14 in float64 and by 1e-6 to a few per cent in float32, as units near
the kink of a ReLU fall on one side or the other. Losses far above 1, as an untrained teacher in
evaluation mode gives them, drown the central difference of float32 in rounding.
"""

import argparse
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.data.stored.arrays import Prepared
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class
from kdbench.search import hypergradient
from kdbench.search.bilevel import buffers_of, rates_of, second_order
from kdbench.search.distpro import DistProSearch
from kdbench.search.hypergradient import central_difference, exact_jvp, unrolled
from kdbench.search.problem import JVP
from kdbench.search.searcher import SearchBatch

SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
ANYWHERE = TrainingPosition(
    step=0, steps=1, epoch=0, epochs=1
)  # all steps of this search are alike


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="wrn-40-2")
    parser.add_argument("--student", default="wrn-16-2")
    parser.add_argument("--batch", type=int, default=16, help="images per batch")
    parser.add_argument("--size", type=int, default=32, help="side of the images, in pixels")
    parser.add_argument("--steps", type=int, default=3, help="real steps taken beforehand")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--scale", type=float, default=0.01, help="of the central difference")
    parser.add_argument("--transforms", nargs="+", default=["2conv", "3conv", "complex"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder of prepared data instead of noise")
    return parser.parse_args()


def network(name: str, size: int) -> StagedNetwork:
    """A freshly initialised network for 100 classes."""
    component = find_components().get("network", name, where="metagradient")
    cls = find_class(component)
    return cls(**component.arguments, classes=100, image=(3, size, size))


def distpro(student: StagedNetwork, teacher: StagedNetwork, **options: Any) -> DistProSearch:
    """DistPro's search with its declared parameters, some of them replaced."""
    component = find_components().get("search", "distpro", where="benchmark")
    declared = component.parameters(scale="paper", pair=None, overrides={}, where="benchmark")
    del declared["held_out"]  # the search phase's
    return DistProSearch(student, teacher, **{**SGD, **declared, **options})


def batches(count: int, asked: argparse.Namespace) -> list[Batch]:
    """Batches of noise, or of the training split, normalised and cut to the size."""
    shape = (count * asked.batch, 3, asked.size, asked.size)
    images, labels = torch.randn(shape), torch.randint(100, shape[:1])
    if asked.data is not None:
        data = Prepared.open(asked.data).training_only()
        index = torch.randperm(len(data.labels("train")))[: shape[0]].numpy()
        pixels = torch.from_numpy(data.images("train")[index]).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
        images = ((pixels - mean) / std)[..., : asked.size, : asked.size]
        labels = torch.from_numpy(data.labels("train")[index])
    chunks = zip(images.split(asked.batch), labels.split(asked.batch), strict=True)
    return [Batch(x, y, torch.arange(asked.batch)) for x, y in chunks]


def gradient(
    search: DistProSearch, train: SearchBatch, validation: SearchBatch, jvp: JVP
) -> tuple[Tensor, float]:
    """One meta-gradient, and the seconds that it took after the real forward pass."""
    terms = search.searched.terms(train)
    began = perf_counter()
    in_alphas, _ = second_order(search.searched, terms, search.optimiser, train, validation, jvp)
    return in_alphas, perf_counter() - began


def reference(search: DistProSearch, train: SearchBatch, validation: SearchBatch) -> Tensor:
    """The gradient through the whole step."""
    searched = search.searched
    return unrolled(
        lambda weights, alphas: searched.inner(weights, alphas, train),
        lambda weights: searched.outer(weights, validation),
        searched.weights,
        searched.alphas,
        buffers_of(search.optimiser, searched.weights),
        rates_of(search.optimiser),
    )


@contextmanager
def low_precision_allowed() -> Iterator[None]:
    """Let the central difference run under autocast, which the package never does."""
    original = hypergradient.without_autocast
    hypergradient.without_autocast = lambda weights: torch.autocast("cpu", dtype=torch.bfloat16)
    try:
        yield
    finally:
        hypergradient.without_autocast = original


def widened(search: DistProSearch, teacher: StagedNetwork, transforms: list[str]) -> DistProSearch:
    """The same search in float64, momentum included."""
    student = copy.deepcopy(search.student).double()
    wide = distpro(student, teacher, lr=search.lr, transforms=transforms)
    wide.pathways.load_state_dict(search.pathways.state_dict())
    wide.optimiser.load_state_dict(search.optimiser.state_dict())
    with torch.no_grad():
        wide.alphas.copy_(search.alphas)
    return wide


def main() -> None:
    """Measure and print."""
    asked = read_arguments()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    teacher, student = network(asked.teacher, asked.size), network(asked.student, asked.size)
    teacher.train()  # its running statistics are empty: in eval mode its maps would explode
    search = distpro(student, teacher, lr=asked.lr, transforms=asked.transforms)
    *early, train, validation = batches(asked.steps + 2, asked)
    with torch.no_grad():
        for batch in early:
            taught = SearchBatch(batch, teacher.read(batch.images))
            with torch.enable_grad():
                search.step(taught, SearchBatch(validation), ANYWHERE)
        narrow = (SearchBatch(train, teacher.read(train.images)), SearchBatch(validation))
        wide = widened(search, teacher, asked.transforms)
        doubled = [b._replace(images=b.images.double()) for b in (train, validation)]
        teacher.double()
        deep = (
            SearchBatch(doubled[0], teacher.read(doubled[0].images)),
            SearchBatch(doubled[1]),
        )
    began = perf_counter()
    exact = reference(wide, *deep)
    print(
        f"{asked.teacher} -> {asked.student}, {len(exact)} pathways, batch {asked.batch},", end=" "
    )
    print(f"{asked.size} x {asked.size}, {asked.threads} thread(s), torch {torch.__version__}")
    print(f"{'variant':36}{'relative error':>16}{'seconds':>10}")
    print(f"{'through the step, float64':36}{0:16.2e}{perf_counter() - began:10.2f}")
    difference = partial(central_difference, scale=asked.scale)

    def show(name: str, variant: Tensor, seconds: float) -> None:
        error = ((variant.double() - exact).norm() / exact.norm()).item()
        print(f"{name:36}{error:16.2e}{seconds:10.2f}")

    show("forward mode, float64", *gradient(wide, *deep, exact_jvp))
    show("forward mode, float32", *gradient(search, *narrow, exact_jvp))
    show("central difference, float64", *gradient(wide, *deep, difference))
    show("central difference, float32", *gradient(search, *narrow, difference))
    with low_precision_allowed():
        show("central difference, bfloat16", *gradient(search, *narrow, difference))


if __name__ == "__main__":
    main()
