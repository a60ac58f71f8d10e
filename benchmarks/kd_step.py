"""kdbench's KD step and epoch beside those of the field's code, in one process, turn by turn.

    git clone https://github.com/HobbitLong/RepDistiller build/field
    python benchmarks/kd_step.py --field build/field

The field's side is RepDistiller's networks and KD loss in the loop of its `train_distill`, float32;
"step" on batches that are there already, "epoch" with its loader (PIL images, random crop and flip,
a DataLoader without workers: on few cores workers only take turns with the training). kdbench's
side is the step and the in-memory loader of a real run, in the number formats that are asked for.
A round takes `--steps` of either kind from every side, forwards, then backwards; an epoch is timed
in such parts, which follow one another, so that all sides share what the machine does meanwhile.
results/kd_step.json has every round, the multiply-adds of a step, and the fastest of some 3 x 3
convolutions, forward and backward, in the same process and number format.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import about, no_bfloat16, peak, write
from numpy.typing import NDArray
from turns import LEAST, Contender, take_turns

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.engine.fit import fit
from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.optimisers import make_optimiser
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
from kdbench.runs.assemble import Teacher, find_class, make_loss
from kdbench.runs.steps import TrainStep
from kdbench.store.parts import Runtime

CPU = torch.device("cpu")
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
IMAGES = 5_000  # of an epoch


@dataclass
class Side:
    """One contender: the field's code, or ours in one number format.

    Attributes:
        step: does one step on a batch that is there.
        loop: does some steps of an epoch, its loader included.
        macs: multiply-adds of a step.
        plain: whether it runs with torch's own settings, which the field's code does not touch.
        format: key of `FORMATS`.
    """

    step: Callable[[], Any]
    loop: Callable[[], Any]
    macs: int
    plain: bool = False
    format: str = "float32"

    def prepare(self, threads: int) -> None:
        """Give the process the settings of this side: torch's own, or those of a run."""
        name, channels_last = FORMATS[self.format]
        runtime = Runtime(threads=threads, precision=name, channels_last=channels_last)
        prepare_process(runtime, CPU)
        if self.plain:
            torch.use_deterministic_algorithms(False)


class Passing:
    """Some batches of a loader's epoch at a time, epoch after epoch, as if each part were one.

    The loader's own work at the start of an epoch is done once per epoch, as in a run.

    Attributes:
        steps: batches at a time.
    """

    def __init__(self, loader: InMemoryLoader, steps: int) -> None:
        self.steps = steps
        self._batches = chain.from_iterable(loader.epoch(number) for number in count())

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The next batches, wherever the loader stands."""
        return islice(self._batches, self.steps)


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


def field_side(names: tuple[str, str], recipe: Recipe, steps: int) -> Side:
    """The field's networks, loss and loop."""
    from distiller_zoo.KD import DistillKL  # type: ignore[import-not-found]
    from models import model_dict  # type: ignore[import-not-found]

    torch.manual_seed(0)
    teacher, student = (model_dict[name](num_classes=100) for name in names)
    teacher.eval()
    student.train()
    divergence = DistillKL(4.0)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    data = Pictures(*noise(IMAGES), recipe)
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

    endless = chain.from_iterable(loader for _ in count())

    def loop() -> None:
        for pixels, labels, _ in islice(endless, steps):
            train(pixels, labels)

    step = lambda: train(pixels, labels)  # noqa: E731
    return Side(step, loop, macs_of(step), plain=True)


def our_side(pair: str, key: str, recipe: Recipe, steps: int, threads: int, folder: Path) -> Side:
    """The step, the loader and the loop of a real run."""
    name, channels_last = FORMATS[key]
    runtime = Runtime(threads=threads, precision=name, channels_last=channels_last)
    precision = prepare_process(runtime, CPU)
    teacher, student = (precision.place(network(one)) for one in pair.split(":"))
    resolver = Resolver(Params(scale="paper"), find_components())
    method, _ = resolver.method(resolver.get("method", "kd"), pair, ())
    loss, weight = make_loss(method, student.train(), teacher, 0, precision)
    optimiser = make_optimiser(recipe, student, loss.trained_with_student())
    loader = in_memory(recipe, IMAGES, precision)
    looking = Teacher(teacher, method.teacher_mode)
    step = TrainStep(student, looking, loss, weight, optimiser, recipe, loader.steps, precision)
    state = TrainState(folder / key, "benchmark", {"student": student, "optimiser": optimiser})
    passing = Passing(loader, steps)
    parts = fit(state, step, passing, recipe.epochs, Stopper(checkpoint_seconds=1e9))
    batch, position = loader.batch(0, 0), TrainingPosition(0, 10**6, 0, 10**3)

    def one() -> None:
        step(batch, position)

    return Side(one, lambda: state.log(next(parts)), macs_of(one), format=key)


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


def measure(pair: str, asked: argparse.Namespace, formats: Sequence[str]) -> list[dict[str, Any]]:
    """Time the sides of a pair in turn; one row per side."""
    recipe = Recipe(**{**CRD.as_dict(), "batch": asked.batch, "epochs": 10**6})
    with tempfile.TemporaryDirectory() as folder:
        sides = {"field": field_side(PAIRS[pair], recipe, asked.steps)} if asked.field else {}
        for key in formats:
            side = our_side(pair, key, recipe, asked.steps, asked.threads, Path(folder))
            sides[f"kdbench, {key}"] = side
        contenders = {
            (name, kind): Contender(work, repeats, partial(side.prepare, asked.threads))
            for name, side in sides.items()
            for kind, work, repeats in ((STEP, side.step, asked.steps), (EPOCH, side.loop, 1))
        }
        take_turns(contenders, 60 * asked.minutes / len(asked.pairs), least=asked.rounds)
    peaks = {key: peak_of(key, asked.batch) for key in {side.format for side in sides.values()}}
    return [
        {
            "pair": pair,
            "side": name,
            "format": side.format,
            "multiply_adds": side.macs,
            "peak": peaks[side.format],
            "step_seconds": contenders[name, STEP].seconds,
            "loop_seconds": [s / asked.steps for s in contenders[name, EPOCH].seconds],
        }
        for name, side in sides.items()
    ]


def peak_of(key: str, batch: int) -> float:
    """The convolution peak in a format."""
    name, channels_last = FORMATS[key]
    kind = torch.bfloat16 if name == "bf16" else torch.float32
    return peak(kind, torch.channels_last if channels_last else torch.contiguous_format, batch)


def files_of(field: Path) -> str:
    """SHA-256 over the Python files of the field's networks and KD loss, ordered by name."""
    files = sorted([*field.glob("models/*.py"), field / "distiller_zoo/KD.py"])
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def read_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--field", type=Path, help="a checkout of RepDistiller; none: ours alone")
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=LEAST, help="at least so many")
    parser.add_argument("--minutes", type=float, default=6.0, help="no round begins later")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="folder of kd_step.json; benchmarks/results")
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    asked = read_arguments()
    torch.set_num_threads(asked.threads)
    skipped = []
    if asked.field and not (asked.field / "distiller_zoo/KD.py").is_file():
        skipped.append(
            f"the field's side is left out: no checkout of RepDistiller in {asked.field}"
        )
        asked.field = None
    if asked.field:
        sys.path.insert(0, str(asked.field))
    formats = asked.formats
    if reason := no_bfloat16(CPU):
        skipped.append(reason)
        formats = [key for key in formats if FORMATS[key][0] != "bf16"]
    for reason in skipped:
        print(reason, flush=True)
    rows: list[dict[str, Any]] = []
    for pair in asked.pairs:
        rows += measure(pair, asked, formats)
        print(pair, f"{len(rows[-1]['step_seconds'])} rounds", flush=True)
    content = {
        "about": about(asked.threads),
        "field": files_of(asked.field) if asked.field else None,
        "skipped": skipped,
        "batch": asked.batch,
        "images": IMAGES,
        "steps": asked.steps,
        "rows": rows,
    }
    print(write("kd_step", content, asked.out))


if __name__ == "__main__":
    main()
