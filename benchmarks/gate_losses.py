"""Whether SBS's losses find different students in a short search, on scikit-learn's digits.

Trains a WRN-16-2 on the digits (8 x 8 pixels), then searches in it with each of the four losses
for a few steps, as scale lite does, and prints when the budget was met, who decided, and the share
of the channels that two losses treat alike. Nothing is written.

    python benchmarks/gate_losses.py --steps 120
"""

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.schedules import rate_at
from kdbench.exhibits.protocols import SBS_SEARCH
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class
from kdbench.search.searcher import SearchBatch

BATCH, TRAINED_ON, TEACHER_STEPS = 64, 1500, 300


class Digits:
    """Handwritten digits as colour images of 8 x 8 pixels, in an order of their own."""

    def __init__(self) -> None:
        loaded = load_digits()
        order = torch.randperm(len(loaded.target), generator=torch.Generator().manual_seed(0))
        pixels = torch.tensor(loaded.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
        self.images = pixels.expand(-1, 3, -1, -1)[order].contiguous()
        self.labels = torch.tensor(loaded.target)[order]

    def batch(self, generator: torch.Generator) -> Batch:
        """Images to train on, drawn anew."""
        index = torch.randint(TRAINED_ON, (BATCH,), generator=generator)
        return Batch(self.images[index], self.labels[index], index)

    @torch.no_grad()
    def accuracy(self, network: Any) -> float:
        """On the images that nobody trains on, in percent; batch norms take their statistics."""
        logits: Tensor = network(self.images[TRAINED_ON:])
        right = logits.argmax(1) == self.labels[TRAINED_ON:]
        return 100 * right.float().mean().item()


def train_teacher(digits: Digits) -> WideResNet:
    """A WRN-16-2 that knows the digits."""
    torch.manual_seed(0)
    teacher = WideResNet(16, 2, classes=10, image=(3, 8, 8))
    optimiser = torch.optim.SGD(
        teacher.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    generator = torch.Generator().manual_seed(1)
    for step in range(TEACHER_STEPS):
        optimiser.param_groups[0]["lr"] = 0.1 if step < 2 * TEACHER_STEPS // 3 else 0.01
        batch = digits.batch(generator)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(teacher(batch.images), batch.labels).backward()
        optimiser.step()
    return teacher.eval()


def search(name: str, teacher: WideResNet, digits: Digits, steps: int) -> Tensor:
    """Search with one declaration as it stands; prints a line, returns which gates are open."""
    component = find_components().get("search", name, where="benchmark")
    recipe = SBS_SEARCH.shortened(1)
    parameters = component.parameters(scale="lite", pair=None, overrides={}, where="benchmark")
    del parameters["held_out"]
    sgd = {key: getattr(recipe, key) for key in ("lr", "momentum", "nesterov", "weight_decay")}
    searcher = find_class(component)(teacher, teacher, **sgd, **parameters)
    generator = torch.Generator().manual_seed(2)
    terms: dict[str, Tensor] = {}
    for step in range(steps):
        searcher.lr = rate_at(recipe, step, steps)
        batch = digits.batch(generator)
        with torch.no_grad():
            data = SearchBatch(batch, teacher.read(batch.images))
        terms = searcher.step(data, None, TrainingPosition(step, steps, 0, 1))
        if searcher.finished:
            break
    about = searcher.finding().metadata
    gates: Tensor = searcher.gates.values
    print(
        f"| {component.label} | {about['met_at'] or 'not met'} | {about['pace']['price']:.4f} "
        f"| {about['loss_to_penalty']:.2f} | {terms['kl'].item():.2f} "
        f"| {digits.accuracy(searcher.student):.0f} | {(gates != 0).float().mean().item():.2f} |",
        flush=True,
    )
    return gates != 0


def main() -> None:
    """Print the table and the agreements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=120, help="of every search (120)")
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    digits = Digits()
    teacher = train_teacher(digits)
    print(f"teacher: {digits.accuracy(teacher):.1f} %; {steps} steps", flush=True)
    print("| search | budget met at | λ₂ | loss / penalty | KL then | accuracy, % | gates open |")
    print("|---|---|---|---|---|---|---|")
    for weighting in ("", "_unweighted"):
        kl, np = (search(f"sbs_{x}{weighting}", teacher, digits, steps) for x in ("kl", "np"))
        p, q = kl.float().mean().item(), np.float().mean().item()
        chance = p * q + (1 - p) * (1 - q)
        alike = (kl == np).float().mean().item()
        print(f"KL and NP{weighting or ', weighted'}: alike {alike:.3f}, by chance {chance:.3f}")


if __name__ == "__main__":
    main()
