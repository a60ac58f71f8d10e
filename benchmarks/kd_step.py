"""kdbench's KD step and epoch beside those of the field's code, in one process, turn by turn.

    git clone https://github.com/HobbitLong/RepDistiller field
    python benchmarks/kd_step.py --field field --rounds 5

The field's side is RepDistiller's networks and KD loss in the loop of its `train_distill`, float32;
"step" on batches that are there already, "epoch" with its loader (PIL images, random crop and flip,
a DataLoader without workers: on few cores workers only take turns with the training). kdbench's
side is the step and the in-memory loader of a real run, in the number formats that are asked for.
Every round does all sides once, forwards, then backwards. Printed are medians over the rounds, in
images per second, and over the field's bare step; and the share of the convolution peak: the
multiply-adds of a step over its time, over the fastest of some 3 x 3 convolutions, forward and
backward, in the same process and number format. With --out, results/kd_step.json has every round.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.engine.fit import fit
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision, prepare_process
from kdbench.engine.stopping import Stopper
from kdbench.engine.train_state import TrainState
from kdbench.exhibits.protocols import CRD
from kdbench.exhibits.recipe import Recipe
from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver
from kdbench.runs.assemble import Teacher, find_class, make_loss, make_sgd
from kdbench.runs.steps import TrainStep
from kdbench.store.parts import Runtime

PAIRS = {  # ours, teacher and student; the field's names of both
    "wrn-40-2:wrn-16-2": ("wrn_40_2", "wrn_16_2"),
    "resnet56:resnet20": ("resnet56", "resnet20"),
    "resnet32x4:shufflenet-v2": ("resnet32x4", "ShuffleV2"),
}
FORMATS = {
    "float32": ("float32", False),
    "float32-nhwc": ("float32", True),
    "bf16-nhwc": ("bf16", True),
}
STEP, EPOCH = "step", "epoch"
WARM_UP = 2
PEAK_SHAPES = ((16, 32), (32, 32), (64, 16), (128, 8), (256, 8))  # channels and side of the maps


@dataclass
class Side:
    """One contender.

    Attributes:
        step: does one step on a batch that is there.
        epoch: does one epoch, its loader included.
        macs: multiply-adds of a step.
        plain: whether it runs with torch's own settings, which the field's code does not touch.
        format: key of `FORMATS`.
        seconds: of every round, by "step" and "epoch".
    """

    step: Callable[[], None]
    epoch: Callable[[], None]
    macs: int
    plain: bool = False
    format: str = "float32"
    seconds: dict[str, list[float]] = field(default_factory=lambda: {STEP: [], EPOCH: []})


class Pictures(torch.utils.data.Dataset[tuple[Any, int, int]]):
    """Images as the field's data set serves them: PIL, then its training transforms."""

    def __init__(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe
    ) -> None:
        from torchvision import transforms

        self.pixels, self.labels = pixels, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(recipe.mean, recipe.std),
            ]
        )

    def __len__(self) -> int:
        """Images."""
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Any, int, int]:
        """An image, its label and its position."""
        from PIL import Image

        image = Image.fromarray(self.pixels[place])
        return self.transform(image), int(self.labels[place]), place


def noise(images: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random pixels and labels of 100 classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    return pixels, rng.integers(0, 100, images)


def field_side(names: tuple[str, str], recipe: Recipe, images: int) -> Side:
    """The field's networks, loss and loop."""
    from distiller_zoo.KD import DistillKL  # type: ignore[import-not-found]
    from models import model_dict  # type: ignore[import-not-found]

    torch.manual_seed(0)
    teacher, student = (model_dict[name](num_classes=100) for name in names)
    teacher.eval()
    student.train()
    divergence = DistillKL(4.0)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    data = Pictures(*noise(images), recipe)
    loader = torch.utils.data.DataLoader(data, batch_size=recipe.batch, shuffle=True)

    def train(pixels: torch.Tensor, labels: torch.Tensor) -> None:
        _, ours = student(pixels.float(), is_feat=True, preact=False)
        with torch.no_grad():
            maps, theirs = teacher(pixels, is_feat=True, preact=False)
            _ = [one.detach() for one in maps]
        loss = 0.1 * F.cross_entropy(ours, labels) + 0.9 * divergence(ours, theirs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    pixels, labels, _ = next(iter(loader))

    def epoch() -> None:
        for pixels, labels, _ in loader:
            train(pixels, labels)

    step = lambda: train(pixels, labels)  # noqa: E731
    return Side(step, epoch, macs_of(step), plain=True)


def our_side(pair: str, key: str, recipe: Recipe, images: int, threads: int, folder: Path) -> Side:
    """The step, the loader and the loop of a real run."""
    name, channels_last = FORMATS[key]
    runtime = Runtime(threads=threads, precision=name, channels_last=channels_last)
    precision = prepare_process(runtime, torch.device("cpu"))
    teacher, student = (precision.place(network(one)) for one in pair.split(":"))
    resolver = Resolver(Params(scale="paper"), find_components())
    method, _ = resolver.method(resolver.get("method", "kd"), pair, ())
    loss, weight = make_loss(method, student.train(), teacher, 0, precision)
    optimiser = make_sgd(recipe, student, loss.trained_with_student())
    loader = in_memory(recipe, images, precision)
    looking = Teacher(teacher, method.teacher_mode)
    step = TrainStep(student, looking, loss, weight, optimiser, recipe, loader.steps, precision)
    state = TrainState(folder / key, "benchmark", {"student": student, "optimiser": optimiser})
    epochs = fit(state, step, loader, recipe.epochs, Stopper(checkpoint_seconds=1e9))
    batch, position = loader.batch(0, 0), TrainingPosition(0, 10**6, 0, 10**3)

    def one() -> None:
        step(batch, position)

    return Side(one, lambda: state.log(next(epochs)), macs_of(one), format=key)


def network(name: str) -> StagedNetwork:
    """A freshly initialised network for 100 classes."""
    component = find_components().get("network", name, where="kd_step")
    torch.manual_seed(0)
    made: StagedNetwork = find_class(component)(
        **component.arguments, classes=100, image=(3, 32, 32)
    )
    return made


def in_memory(recipe: Recipe, images: int, precision: Precision) -> InMemoryLoader:
    """The loader of a run, over noise."""
    return InMemoryLoader(
        *noise(images),
        batch=recipe.batch,
        augment=Augment.parse(recipe.augment),
        mean=recipe.mean,
        std=recipe.std,
        seed=0,
        device=precision.device,
        memory_format=precision.memory_format,
    )


def macs_of(step: Callable[[], None]) -> int:
    """Multiply-adds of a step."""
    with MultiplyAdds() as counted:
        step()
    return counted.macs


def settings(side: Side, threads: int) -> None:
    """Give the process the settings of a side: torch's own, or those of a run."""
    name, channels_last = FORMATS[side.format]
    runtime = Runtime(threads=threads, precision=name, channels_last=channels_last)
    prepare_process(runtime, torch.device("cpu"))
    if side.plain:
        torch.use_deterministic_algorithms(False)


def seconds_of(work: Callable[[], None]) -> float:
    """How long it takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def measure(
    sides: dict[str, Side], rounds: int, steps: int, kinds: list[str], threads: int
) -> None:
    """Time every side in turn; `steps` steps count as one measurement of a step."""
    for side in sides.values():
        settings(side, threads)
        for _ in range(WARM_UP):
            side.step()
    for number in range(rounds):
        order = list(sides.values())[:: 1 if number % 2 == 0 else -1]
        for side in order:
            settings(side, threads)
            for kind in kinds:
                repeats, work = (steps, side.step) if kind == STEP else (1, side.epoch)
                side.seconds[kind].append(mean_of(work, repeats))


def mean_of(work: Callable[[], None], repeats: int) -> float:
    """Mean time of some repetitions."""
    return seconds_of(lambda: [work() for _ in range(repeats)] and None) / repeats


def peak(key: str, batch: int) -> float:
    """Multiply-adds per second of the fastest 3 x 3 convolution, forward and backward."""
    name, channels_last = FORMATS[key]
    kind = torch.bfloat16 if name == "bf16" else torch.float32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return max(_speed(c, s, batch, kind, layout) for c, s in PEAK_SHAPES)


def _speed(channels: int, side: int, batch: int, kind: torch.dtype, layout: Any) -> float:
    maps = torch.randn(batch, channels, side, side).to(kind).to(memory_format=layout)
    maps.requires_grad_()
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    layer = layer.to(kind).to(memory_format=layout)

    def work() -> None:
        layer(maps).sum().backward()

    work()
    best = min(seconds_of(work) for _ in range(5))
    return 3 * 9 * channels**2 * side**2 * batch / best


def lines(
    pair: str, sides: dict[str, Side], peaks: dict[str, float], batch: int, images: int
) -> Iterator[str]:
    """The table's rows of one pair."""
    first = median(next(iter(sides.values())).seconds[STEP])
    for name, side in sides.items():
        step = median(side.seconds[STEP])
        share = side.macs / step / peaks[side.format]
        epoch = images / median(side.seconds[EPOCH]) if side.seconds[EPOCH] else float("nan")
        yield (
            f"| {pair} | {name} | {batch / step:.0f} | {first / step:.2f} "
            f"| {epoch:.0f} | {epoch / (batch / first):.2f} | {100 * share:.0f} % |"
        )


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--field", type=Path, required=True, help="a checkout of RepDistiller")
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=5000, help="of an epoch; 0 for no epochs")
    parser.add_argument("--steps", type=int, default=5, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file with every round")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    asked = read_arguments()
    sys.path.insert(0, str(asked.field))
    recipe = Recipe(**{**CRD.as_dict(), "batch": asked.batch, "epochs": 10**6})
    images, kinds = asked.images or asked.batch, [STEP, EPOCH] if asked.images else [STEP]
    about = {"torch": torch.__version__, "python": platform.python_version()}
    about |= {"machine": platform.machine(), "cpu": torch.backends.cpu.get_cpu_capability()}
    print(f"{about}, {asked.threads} thread(s), batch {asked.batch}\n")
    print("| pair | side | step, images/s | over field | epoch, images/s | over field | peak |")
    print("|---|---|---|---|---|---|---|")
    results = {}
    for pair in asked.pairs:
        with tempfile.TemporaryDirectory() as folder:
            sides = {"field, float32": field_side(PAIRS[pair], recipe, images)}
            for key in asked.formats:
                side = our_side(pair, key, recipe, images, asked.threads, Path(folder))
                sides[f"kdbench, {key}"] = side
            measure(sides, asked.rounds, asked.steps, kinds, asked.threads)
            peaks = {side.format: peak(side.format, asked.batch) for side in sides.values()}
            for line in lines(pair, sides, peaks, asked.batch, images):
                print(line, flush=True)
        results[pair] = {name: {"macs": s.macs, **s.seconds} for name, s in sides.items()}
    if asked.out:
        content = {"about": about, "asked": {k: str(v) for k, v in vars(asked).items()}}
        asked.out.write_text(json.dumps({**content, "seconds": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
