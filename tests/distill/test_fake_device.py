"""Every loss on a CUDA device that is not there: nothing of the CPU's in it, no look at a value.

PyTorch's fake tensors have shapes, types and devices, and no numbers. An operation on tensors of
two devices fails as on a GPU; so does, at once, what would make a GPU wait (`.item()`, an `if` on a
tensor). What a loss takes from the training's course it takes through its position, which works it
out on the CPU. Backward passes cannot be tried without the device: see `test_no_device.py`.
"""

from dataclasses import asdict

import pytest
import torch
from contract import CLASSES, LATE, METHODS, PAIR, build, network
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from typed_runs import method_part

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.runs.assemble import Teacher

GPU, IMAGES = torch.device("cuda:0"), 6
BACKWARD = ("jacobian",)  # differentiates in its forward pass


def move(mode, *modules):
    """What `Module.to` moves, parameters and buffers, becomes fake and goes to the device."""
    for module in modules:
        for part in module.modules():
            for name, value in part._parameters.items():
                if value is not None:
                    fake = mode.from_tensor(value).detach().to(GPU)
                    part._parameters[name] = nn.Parameter(fake, value.requires_grad)
            for name, value in part._buffers.items():
                if value is not None:
                    part._buffers[name] = mode.from_tensor(value).to(GPU)


class Position(TrainingPosition):
    """One of whose functions the CPU makes real values, and tensors that then go to the device."""

    def read(self, of):
        """A plain value."""
        with unset_fake_temporarily():
            return of(self)

    def feed(self, of, device):
        """A fake tensor of the device."""
        with unset_fake_temporarily():
            value = of(self)
        assert value.device.type == "cpu"
        return torch.empty(value.shape, dtype=value.dtype, device=device)


POSITION = Position(**asdict(LATE))


def terms(loss, teacher, student, mode):
    """All terms of a loss for a batch on the device."""
    images = torch.randn(IMAGES, 3, 16, 16, device=GPU)
    batch = Batch(images, *(torch.zeros(IMAGES, dtype=torch.int64, device=GPU) for _ in range(2)))
    given = student.read(images), Teacher(teacher, mode).read(images), batch, POSITION
    values = dict(loss(*given))
    return values if loss.first is None else values | loss.first_terms(*given)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in BACKWARD])
def test_a_loss_is_of_one_device_and_never_waits_for_it(method):
    """All terms are scalars of the device."""
    teacher, student = (network(name, seed=seed) for seed, name in enumerate(PAIR))
    loss, fakes = build(method, student, teacher), FakeTensorMode()
    with fakes:
        move(fakes, teacher, student, loss)
        values = terms(loss, teacher, student, method_part(method).teacher_mode or "eval")

    assert {(value.device, value.shape) for value in values.values()} <= {(GPU, ())}
    assert bool(values) == (method != "none")


class Planted(nn.Module):
    """A loss with one of the mistakes that the test above is there for."""

    first = None

    def __init__(self, mistake):
        super().__init__()
        self.mistake = mistake
        self.kept = torch.ones(CLASSES)  # no buffer, so it stays behind

    def forward(self, student, teacher, batch, position):
        """One term."""
        return {"planted": self.mistake(self, student.logits - teacher.logits)}


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda loss, gap: (gap * loss.kept).sum(), AssertionError),
        (lambda loss, gap: (gap * torch.arange(CLASSES)).sum(), RuntimeError),
        (lambda loss, gap: gap.sum() / gap.sum().item(), DataDependentOutputException),
        (lambda loss, gap: gap.sum() if gap.sum() > 0 else gap.max(), DataDependentOutputException),
        (lambda loss, gap: gap[gap > 0].sum(), DynamicOutputShapeException),
    ],
    ids=["left behind", "made on the CPU", "item", "if", "boolean index"],
)
def test_mistakes_are_caught(mistake, error):
    """Tensors of the CPU, and looks at values."""
    teacher, student = (network(name, seed=seed) for seed, name in enumerate(PAIR))
    loss, fakes = Planted(mistake), FakeTensorMode()
    with fakes:
        move(fakes, teacher, student, loss)
        with pytest.raises(error):
            terms(loss, teacher, student, "eval")


def test_all_methods_are_tried_but_those_that_cannot_be():
    """None of those named here has gone."""
    assert set(BACKWARD) < set(METHODS)
