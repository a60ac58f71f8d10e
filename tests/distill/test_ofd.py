"""OFD: margins against sampling, the partial loss against its cases, margins without a norm."""

import pytest
import torch
from build_loss import build_loss
from torch import nn, randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.ofd import OFD, Margins, margins, ofd
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.wide_resnet import WideResNet

SMALL = {"classes": 5, "image": (3, 16, 16)}
BATCH = Batch(randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 2]), torch.arange(4))
START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)


def slow_ofd(student, teacher, margin):
    """The three cases of the paper, one number at a time."""
    total = 0
    for ours, theirs in zip(student, teacher, strict=True):
        for channel, bound in enumerate(margin):
            pairs = zip(ours[channel].flatten(), theirs[channel].flatten(), strict=True)
            for s, t in pairs:
                if t > 0 or (bound < t <= 0 and s > t):
                    total = total + (s - t) ** 2
                elif t <= bound and s > bound:
                    total = total + (s - bound) ** 2
    return total / len(student)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ofd_is_its_slow_form(dtype):
    """Value and gradient, computed in float64 and in float32."""
    student, teacher = (randn(3, 4, 3, 3, dtype=torch.float64) for _ in range(2))
    margin = -torch.rand(4, dtype=torch.float64)
    student.requires_grad_()
    expected = slow_ofd(student, teacher, margin)
    actual = ofd(student.to(dtype), teacher.to(dtype), margin.to(dtype))
    slopes = [torch.autograd.grad(x, student, retain_graph=True)[0] for x in (expected, actual)]

    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-5, atol=1e-6)


def test_a_margin_is_the_mean_of_the_negative_values_of_its_normal_distribution():
    """The norm gives shift and scale; a negative scale counts like a positive one."""
    norm = nn.BatchNorm2d(4)
    norm.bias.data = torch.tensor([0.0, 0.5, -1.0, 1.0])
    norm.weight.data = torch.tensor([1.0, -0.5, 0.3, 1.0])
    drawn = norm.bias.double() + norm.weight.double().abs() * randn(400_000, 4).double()
    means = torch.stack([column[column < 0].mean() for column in drawn.T])

    torch.testing.assert_close(margins(norm).double(), means.detach(), rtol=0.01, atol=0)


def test_where_nothing_is_negative_the_margin_is_minus_three_deviations():
    """As far below 0 as that; 0 where the scale is 0."""
    norm = nn.BatchNorm2d(2)
    norm.bias.data = torch.tensor([5.0, 0.0])
    norm.weight.data = torch.tensor([0.5, 0.0])

    torch.testing.assert_close(margins(norm), torch.tensor([-1.5, 0.0]))


def test_each_stage_weighs_half_of_the_next_deeper():
    """Connectors change the student's `pre`, margins are of the teacher's norms."""
    student, teacher = ResNet(8, **SMALL), WideResNet(10, 1, **SMALL).eval()
    loss = OFD(student, teacher, weight=0.5)
    ours, theirs = student.read(BATCH.images), teacher.read(BATCH.images)
    parts = zip((1, 2, 3), loss.connectors, (0.25, 0.5, 1.0), strict=True)
    expected = sum(
        share * ofd(connector(ours.pre[i]), theirs.pre[i], margins(teacher.last_norm(i)))
        for i, connector, share in parts
    )

    term = loss(ours, theirs, BATCH, START)["ofd"]
    torch.testing.assert_close(term, 0.5 * expected)


def test_without_a_norm_margins_are_the_means_of_all_negatives_seen_in_training():
    """Evaluation counts no map in."""
    counted = Margins(ShuffleNetV2(**SMALL), 1)
    first, second = randn(4, 116, 8, 8), 2 * randn(4, 116, 8, 8)
    counted(first)
    seen = torch.cat([first, second])
    expected = torch.stack([c[c < 0].mean() for c in seen.transpose(0, 1).flatten(1)])

    torch.testing.assert_close(counted(second), expected)
    torch.testing.assert_close(counted.eval()(first), expected)


def test_ofd_compares_maps_of_unequal_sizes():
    """A teacher with smaller maps and one with larger ones give a finite term above 0."""
    small = ShuffleNetV2(classes=5, image=(3, 32, 32))
    large = ResNet(8, classes=5, image=(3, 32, 32))
    images = randn(2, 3, 32, 32)
    for student, teacher in ((small, large), (large, small)):
        loss = build_loss(OFD, student, teacher)
        term = loss(student.read(images), teacher.read(images), BATCH, START)
        assert term["ofd"].isfinite() and term["ofd"] > 0
