"""DistPro's search step against the algebra of the release, in one process.

    python benchmarks/distpro_step.py --minutes 3

The release's pathways: teacher stages 0 to 3, student stages at or below, the `complex` transform:
10 pathways. All sides have the same weights to start with and see the same batches (noise, or a
folder of prepared data); they take turns. What the sides do:

"as released"     float32, contiguous. Each of the five losses of a step (virtual step, validation
                  images, both points of the central difference, real step) runs the teacher, the
                  student and all pathways with a graph; the validation loss too, although the
                  pathways count nothing there; the virtual weights are written into the network
                  and taken back. Both points of the difference are differentiated: in the alphas
                  alone, which is what the release's code asks for, or, where it says "whole", in
                  all weights, as a backward pass that is not told what it is for.
"kdbench"         channels-last. `kdbench.search.distpro.DistProSearch.step`: the teacher runs once,
                  the virtual and the real step share a forward pass and the pathways' backward
                  pass, the validation pass is of the student alone, the points of the difference
                  need no graph. Or, where it says "exact", the derivative instead of a difference.
"bf16"            bfloat16 autocast for all passes but those of the difference or derivative.

SGD is without Nesterov here, whose virtual step the release does not know. The first step's
gradients in the alphas are compared before the clock starts. results/distpro_step.json has every
round, the convolution peak of the same process, and the shares of torch's operations.
"""

import argparse
import copy
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from machine import about, no_bfloat16, peak, write
from metagradient import ANYWHERE, batches, distpro, network
from operations import shares
from torch import Tensor
from turns import LEAST, Contender, take_turns

from kdbench.data.loaders.batch import Batch
from kdbench.distill.pathways import Pathways
from kdbench.engine.precision import prepare_process
from kdbench.models.stages import StagedNetwork
from kdbench.search.distpro import DistProSearch
from kdbench.search.divergence import cross_entropy
from kdbench.search.normalise import normalisation
from kdbench.search.searcher import SearchBatch
from kdbench.store.parts import Runtime

RELEASE = {"connections": "downward", "stem": True, "transforms": ["complex"]}
GRADIENTS = ("finite-difference", "exact")
SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
RELEASED, EXACT = "as released, float32", "kdbench, float32, exact"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Released:
    """One search step as the release's algebra has it; written from its description.

    Attributes:
        alphas: (n,) free parameters.
        whole: whether the points of the difference are differentiated in all weights.
    """

    def __init__(self, student: StagedNetwork, teacher: StagedNetwork, pathways: Pathways) -> None:
        self.whole = False
        self.student, self.teacher, self.pathways = student, teacher, pathways
        self.alphas = torch.ones(len(pathways.names), device=DEVICE, requires_grad=True)
        self.weights = [*student.parameters(), *pathways.parameters()]
        self.mix = normalisation("biased-softmax")
        self.optimiser = torch.optim.SGD(self.weights, **SGD)
        self.outer = torch.optim.Adam([self.alphas], lr=0.05, betas=(0.5, 0.999))

    def loss(self, batch: Batch, weight: float = 1.0) -> Tensor:
        """Cross-entropy and weighted pathways, from images to a scalar."""
        with torch.no_grad():
            theirs = self.teacher.read(batch.images)
        ours = self.student.read(batch.images)
        distilled = self.mix(self.alphas) @ self.pathways.losses(ours, theirs)
        return cross_entropy(ours.logits, batch.labels) + weight * distilled

    def gradient(self, train: Batch, validation: Batch) -> Tensor:
        """Gradient in the alphas through the virtual step, by central difference."""
        before = [weight.detach().clone() for weight in self.weights]
        gradients = torch.autograd.grad(self.loss(train), self.weights, allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(self.weights, gradients, strict=True):
                buffer = self.optimiser.state.get(weight, {}).get("momentum_buffer")
                step = SGD["weight_decay"] * weight + (0 if gradient is None else gradient)
                step = step if buffer is None else step + SGD["momentum"] * buffer
                weight.sub_(SGD["lr"] * step)
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(validation, weight=0.0).backward()
        blank = torch.zeros_like
        along = [blank(w) if w.grad is None else w.grad.clone() for w in self.weights]
        with torch.no_grad():
            for weight, value in zip(self.weights, before, strict=True):
                weight.copy_(value)
        distance = 0.01 / torch.cat([v.flatten() for v in along]).norm()
        ends = [self._gradient_at(train, along, move) for move in (distance, -2 * distance)]
        self._move(along, distance)
        return -SGD["lr"] * (ends[0] - ends[1]) / (2 * distance)

    def step(self, train: Batch, validation: Batch, *, whole: bool = False) -> None:
        """The alphas, then the weights."""
        self.whole = whole
        self.alphas.grad = self.gradient(train, validation)
        self.outer.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(train).backward()
        self.optimiser.step()

    def _gradient_at(self, train: Batch, along: list[Tensor], move: Tensor) -> Tensor:
        self._move(along, move)
        of = [self.alphas, *(self.weights if self.whole else ())]
        return torch.autograd.grad(self.loss(train), of, allow_unused=True)[0]

    def _move(self, along: list[Tensor], distance: Tensor) -> None:
        with torch.no_grad():
            for weight, direction in zip(self.weights, along, strict=True):
                weight.add_(distance * direction)


def ours(
    student: StagedNetwork, teacher: StagedNetwork, *, low: bool, gradient: str
) -> DistProSearch:
    """Our search, channels-last, with the release's space."""
    student = copy.deepcopy(student)
    context = partial(torch.autocast, DEVICE.type, dtype=torch.bfloat16) if low else nullcontext
    student = student.to(memory_format=torch.channels_last)
    options = {"autocast": context, "gradient": gradient, **SGD, **RELEASE}
    search = distpro(student, teacher, nesterov=False, **options)
    search.connectors.to(DEVICE, memory_format=torch.channels_last)
    return search


def stepping(
    search: DistProSearch, teacher: StagedNetwork, train: Batch, validation: Batch
) -> None:
    """What the search phase does for a batch: the teacher reads it once, then a step."""
    train, validation = (
        b._replace(images=b.images.contiguous(memory_format=torch.channels_last))
        for b in (train, validation)
    )
    with torch.no_grad(), search.searched.autocast():
        taught = SearchBatch(train, teacher.read(train.images))
    search.step(taught, SearchBatch(validation), ANYWHERE)


def difference(search: DistProSearch, other: Released, train: Batch, validation: Batch) -> float:
    """Relative difference of the gradients in the alphas, which are read from Adam's state."""
    stepping(search, other.teacher, train, validation)
    other.step(train, validation)
    (one,) = (state["exp_avg"] for state in search.alpha_optimiser.state.values())
    (two,) = (state["exp_avg"] for state in other.outer.state.values())
    return ((one - two).norm() / two.norm()).item()


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="wrn-40-2")
    parser.add_argument("--student", default="wrn-16-2")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=LEAST, help="at least so many")
    parser.add_argument("--minutes", type=float, default=3.0, help="no round begins later")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, help="folder of prepared data instead of noise")
    parser.add_argument("--out", type=Path, help="folder of distpro_step.json; benchmarks/results")
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    asked = read_arguments()
    runtime = Runtime(threads=asked.threads, precision="float32", channels_last=False)
    prepare_process(runtime, DEVICE)  # real float32 on a GPU too
    torch.manual_seed(0)
    pair = [network(name, asked.size).to(DEVICE) for name in (asked.teacher, asked.student)]
    teacher, student = pair
    teacher.train()  # as the release; untrained running statistics would make its maps explode
    near = copy.deepcopy(teacher).to(memory_format=torch.channels_last)
    skipped = [reason] if (reason := no_bfloat16(DEVICE)) else []
    lows = (False,) if skipped else (False, True)
    kinds = [(low, gradient) for gradient in GRADIENTS for low in lows]
    searches = [ours(student, teacher, low=low, gradient=gradient) for low, gradient in kinds]
    for search in searches:
        search.pathways.load_state_dict(searches[0].pathways.state_dict())
    pathways = copy.deepcopy(searches[0].pathways).to(memory_format=torch.contiguous_format)
    released = Released(student.train(), teacher, pathways)
    train, validation = (Batch(*(part.to(DEVICE) for part in batch)) for batch in batches(2, asked))
    apart = difference(searches[0], released, train, validation)
    sides: dict[str, Callable[[], None]] = {
        RELEASED: lambda: released.step(train, validation),
        f"{RELEASED}, whole": lambda: released.step(train, validation, whole=True),
    }
    for (low, gradient), search in zip(kinds, searches, strict=True):
        name = f"kdbench, {'bf16' if low else 'float32'}, {gradient}"
        sides[name] = partial(stepping, search, near, train, validation)
    contenders = {name: Contender(work) for name, work in sides.items()}
    take_turns(contenders, 60 * asked.minutes, least=asked.rounds)
    content = {
        "about": about(asked.threads),
        "skipped": skipped,
        "pair": f"{asked.teacher} -> {asked.student}",
        "pathways": len(released.alphas),
        "batch": asked.batch,
        "apart": apart,
        "peak": peak(torch.float32, torch.channels_last, asked.batch),
        "seconds": {name: contender.seconds for name, contender in contenders.items()},
        "operations": {name: shares(sides[name]) for name in (RELEASED, EXACT)},
    }
    first = contenders[RELEASED].median
    for name, contender in contenders.items():
        print(f"{name:40}{contender.median:8.2f} s{first / contender.median:8.2f} times faster")
    print(write("distpro_step", content, asked.out))


if __name__ == "__main__":
    main()
