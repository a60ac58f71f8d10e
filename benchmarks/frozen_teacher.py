"""What KD's step would gain from a teacher whose norms are folded and whose weights are prepacked.

    python benchmarks/frozen_teacher.py --minutes 1

The teacher's pass of a run (`read` in evaluation mode, without a graph, channels-last, float32)
beside the same network with its norms folded by `kdbench.models.folding`, as `fold_teacher` does,
and traced and frozen (`torch.jit.freeze` folds norms into the convolutions
before them) and made ready for inference (`torch.jit.optimize_for_inference` prepacks weights and
fuses), turn by turn with KD's whole step. results/frozen_teacher.json has every round.
"""

import argparse
import copy
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from losses import loss_of, stepping
from machine import about, write
from metagradient import network
from torch import Tensor, nn
from turns import LEAST, Contender, take_turns

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import prepare_process
from kdbench.models.folding import fold_norms
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import find_components
from kdbench.runs.assemble import Teacher
from kdbench.store.parts import Runtime

PAIRS = ("wrn-40-2:wrn-16-2", "resnet56:resnet20", "resnet32x4:shufflenet-v2")
PLAIN, FOLDED, FROZEN, READY = "as a run", "fold_teacher", "frozen", "ready for inference"
SOME = TrainingPosition(0, 100, 0, 1)


class Logits(nn.Module):
    """A network without the keywords that tracing does not take."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.network(images)
        return logits


def trained_like(name: str) -> StagedNetwork:
    """A network whose norms have statistics of their own, so that folding them does something."""
    made = network(name, 32).eval().requires_grad_(False)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return made.to(memory_format=torch.channels_last)


def passes(teacher: StagedNetwork, images: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The teacher's logits in each way; none has a graph, as no weight asks for a gradient."""
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        traced = [torch.jit.trace(Logits(teacher).eval(), images) for _ in range(2)]
        folded = copy.deepcopy(teacher)
        fold_norms(folded)
        frozen, ready = torch.jit.freeze(traced[0]), torch.jit.optimize_for_inference(traced[1])
    return {
        PLAIN: lambda: teacher.read(images).logits,
        FOLDED: lambda: folded.read(images).logits,
        FROZEN: lambda: frozen(images),
        READY: lambda: ready(images),
    }


def measure(pair: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Time one pair."""
    teacher, student = trained_like(pair.split(":")[0]), network(pair.split(":")[1], 32)
    student = student.to(memory_format=torch.channels_last).train()
    images = torch.randn(asked.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(100, (asked.batch,))
    batch = Batch(images, labels, torch.arange(asked.batch))
    ways = passes(teacher, images)
    logits = {name: work() for name, work in ways.items()}
    loss = loss_of(find_components().get("method", "kd", where=""), student, teacher, pair)
    step = stepping(loss, student, Teacher(teacher, "eval"))
    contenders = {name: Contender(work) for name, work in ways.items()}
    kd = Contender(lambda: step(batch, SOME))
    take_turns({**contenders, "KD": kd}, 60 * asked.minutes / len(PAIRS), least=asked.rounds)
    return {
        "pair": pair,
        "seconds": {name: contender.seconds for name, contender in contenders.items()},
        "kd_seconds": kd.seconds,
        "apart": {name: apart(value, logits[PLAIN]) for name, value in logits.items()},
    }


def apart(logits: Tensor, reference: Tensor) -> float:
    """Largest difference, in the largest logit."""
    return float((logits - reference).abs().max() / reference.abs().max())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=LEAST, help="at least so many")
    parser.add_argument("--minutes", type=float, default=1.0, help="no round begins later")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="folder of the JSON file; benchmarks/results")
    asked = parser.parse_args()
    runtime = Runtime(threads=asked.threads, precision="float32", channels_last=True)
    prepare_process(runtime, torch.device("cpu"))
    torch.manual_seed(0)
    pairs = [measure(pair, asked) for pair in PAIRS]
    content = {"about": about(asked.threads), "batch": asked.batch, "pairs": pairs}
    print(write("frozen_teacher", content, asked.out))


if __name__ == "__main__":
    main()
