"""What KD's step gains from a teacher whose norms are folded, and whether that is worth it.

    python benchmarks/frozen_teacher.py --minutes 3
    python benchmarks/frozen_teacher.py --minutes 3 --precision bf16

Decided is by KD's whole step, taken in turn with the teacher as a run has it and with
`fold_teacher`: what folding saves of the step, round by round, and the 95 % interval of the mean
over rounds. "yes" where the interval lies at or above 5 %, "no" where it lies below, else
"undecided": more rounds, or a quieter machine. Each pair has a verdict of its own.

Beside it, for the reasons, stands the teacher's pass of a run (`read` in evaluation mode, without a
graph, channels-last, float32): as it is, with its norms folded by `kdbench.models.folding` as
`fold_teacher` does, traced and frozen (`torch.jit.freeze` folds norms too), and made ready for
inference (`torch.jit.optimize_for_inference` prepacks weights and fuses).
results/frozen_teacher.json has every round.
"""

import argparse
import copy
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from losses import loss_of, stepping
from machine import about, write
from metagradient import network
from torch import Tensor, nn
from turns import MOST, Contender, take_turns

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import prepare_process
from kdbench.models.folding import fold_norms
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import find_components
from kdbench.report.readings.statistics import estimate
from kdbench.runs.assemble import Teacher
from kdbench.store.parts import Runtime

PAIRS = ("wrn-40-2:wrn-16-2", "resnet56:resnet20", "resnet32x4:shufflenet-v2")
PLAIN, FOLDED, FROZEN, READY = "as a run", "fold_teacher", "frozen", "ready for inference"
SOME = TrainingPosition(0, 100, 0, 1)
WORTH = 0.05  # of a KD step, from which folding would be on by default
ROUNDS = 10  # an interval of fewer is wide


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


def verdict(plain: Sequence[float], folded: Sequence[float]) -> dict[str, Any]:
    """What folding saves of a step, and whether that is `WORTH` it.

    Args:
        plain: seconds of a step, by round.
        folded: the same with the folded teacher, of the same rounds.

    >>> verdict([1.0, 2.0, 1.5], [0.9, 1.8, 1.35])["worth it"]
    'yes'
    >>> verdict([1.0, 2.0, 1.5], [0.99, 1.98, 1.485])["worth it"]
    'no'
    >>> verdict([1.0, 1.0], [0.8, 1.1])["worth it"], verdict([1.0], [0.5])["worth it"]
    ('undecided', 'undecided')
    """
    saved = estimate([1 - after / before for before, after in zip(plain, folded, strict=True)])
    said = "undecided"
    if saved.half is not None and abs(saved.mean - WORTH) >= saved.half:
        said = "yes" if saved.mean >= WORTH else "no"
    return {"saved": saved.mean, "half": saved.half, "worth it": said}


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
    folded = copy.deepcopy(teacher)
    fold_norms(folded)
    steps = [
        stepping(loss, student, Teacher(one, "eval"), asked.precision) for one in (teacher, folded)
    ]
    kd, with_folded = (Contender(lambda step=step: step(batch, SOME)) for step in steps)
    # The two that are compared stand side by side: what else slows the machine slows both.
    whole = {"KD": kd, "KD, folded": with_folded}
    seconds = 60 * asked.minutes / len(PAIRS)
    take_turns(whole, 0.7 * seconds, least=asked.rounds, most=10 * MOST)
    contenders = {name: Contender(work) for name, work in ways.items()}
    take_turns(contenders, 0.3 * seconds)
    return {
        "pair": pair,
        "seconds": {name: contender.seconds for name, contender in contenders.items()},
        "kd_seconds": kd.seconds,
        "kd_folded_seconds": with_folded.seconds,
        "verdict": verdict(kd.seconds, with_folded.seconds),
        "apart": {name: apart(value, logits[PLAIN]) for name, value in logits.items()},
    }


def apart(logits: Tensor, reference: Tensor) -> float:
    """Largest difference, in the largest logit."""
    return float((logits - reference).abs().max() / reference.abs().max())


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of whole steps, at least")
    parser.add_argument("--minutes", type=float, default=3.0, help="no round begins later")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="folder of the JSON file; benchmarks/results")
    asked = parser.parse_args()
    runtime = Runtime(threads=asked.threads, precision=asked.precision, channels_last=True)
    prepare_process(runtime, torch.device("cpu"))
    torch.manual_seed(0)
    pairs = [measure(pair, asked) for pair in PAIRS]
    content = {"about": about(asked.threads), "batch": asked.batch, "pairs": pairs}
    content["precision"] = asked.precision
    name = "frozen_teacher" if asked.precision == "float32" else f"frozen_teacher_{asked.precision}"
    for one in pairs:
        said = one["verdict"]
        half = "" if said["half"] is None else f" ± {said['half']:.1%}"
        print(
            f"{one['pair']}: saves {said['saved']:.1%}{half}; worth {WORTH:.0%}: {said['worth it']}"
        )
    print(write(name, content, asked.out))


if __name__ == "__main__":
    main()
