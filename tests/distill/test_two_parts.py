"""AB and FT: their formulas, and what each of their two parts trains."""

import torch
from build_loss import build_loss
from torch import nn, randn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.ab import AB, ab
from kdbench.distill.ft import FT, ft
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.wide_resnet import WideResNet

SMALL = {"classes": 5, "image": (3, 16, 16)}
BATCH = Batch(randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 2]), torch.arange(4))
START = TrainingPosition(step=0, steps=10, epoch=0, epochs=2)


def slow_ab(student, teacher, margin):
    """One neuron at a time."""
    total = 0
    for s, t in zip(student.flatten(), teacher.flatten(), strict=True):
        if t > 0 and s <= margin:
            total = total + (s - margin) ** 2
        if t <= 0 and s > -margin:
            total = total + (s + margin) ** 2
    return total / len(student)


def slow_ft(student, teacher):
    """One image at a time; the larger map averaged over 2 x 2 cells by hand."""
    cells = [teacher[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]
    total = 0
    for ours, theirs in zip(student, sum(cells) / 4, strict=True):
        rows = [sum(channel**2 for channel in maps) / len(maps) for maps in (ours, theirs)]
        rows = [row / (row**2).sum().sqrt() for row in rows]
        total = total + (rows[0] - rows[1]).abs().sum() / rows[0].numel()
    return total / len(student)


def test_ab_is_its_slow_form(float64):
    """Value and gradient."""
    student, teacher = randn(3, 4, 3, 3, requires_grad=True), randn(3, 4, 3, 3)
    value, expected = ab(student, teacher, 0.7), slow_ab(student, teacher, 0.7)
    slopes = [torch.autograd.grad(x, student)[0] for x in (value, expected)]

    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*slopes)


def test_ft_is_its_slow_form(float64):
    """Value and gradient, at the size of the smaller map."""
    student, teacher = randn(3, 4, 4, 4, requires_grad=True), randn(3, 6, 8, 8)
    value, expected = ft(student, teacher), slow_ft(student, teacher)
    slopes = [torch.autograd.grad(x, student)[0] for x in (value, expected)]

    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*slopes)


def test_ab_has_terms_in_its_first_part_alone():
    """Of the stages before their ReLU, each half of the next deeper, times 3 / 1000."""
    student, teacher = ResNet(8, **SMALL), WideResNet(10, 1, **SMALL)
    loss = build_loss(AB, student, teacher)
    ours, theirs = student.read(BATCH.images), teacher.read(BATCH.images)
    stages = [ab(ours.pre[i], theirs.pre[i], 1.0) for i in (1, 2, 3)]
    terms = loss.first_terms(ours, theirs, BATCH, START)

    torch.testing.assert_close(terms["ab"], 0.003 * (stages[0] / 4 + stages[1] / 2 + stages[2]))
    assert loss(ours, theirs, BATCH, START) == {}
    assert all(isinstance(c, nn.Identity) for c in loss.connectors)
    assert loss.first.trains_trunk and loss.first.scaled(240) == 30


def test_ab_connects_unequal_shapes_without_a_relu():
    """Its connector gives negative values too, with the teacher's channels."""
    student, teacher = ResNet(8, **SMALL), WideResNet(10, 2, **SMALL)
    loss = build_loss(AB, student, teacher)
    maps = loss.connectors[1](student.read(BATCH.images).pre[2])

    assert maps.shape[1] == 64
    assert (maps < 0).any()


def test_ft_trains_its_paraphraser_in_the_first_part_and_its_translator_in_the_second():
    """The first part rebuilds the teacher's map and does not train the student."""
    student, teacher = ResNet(8, **SMALL), WideResNet(10, 2, **SMALL).eval()
    loss = build_loss(FT, student, teacher, weight=2.0)
    with torch.no_grad():
        theirs = teacher.read(BATCH.images)
    first = loss.first_terms(None, theirs, BATCH, START)["paraphrase"]
    maps = theirs.out[-1]
    torch.testing.assert_close(first, (loss.paraphraser(maps) - maps).square().mean())
    first.backward()
    assert all(p.grad is not None for p in loss.paraphraser.parameters())
    assert all(p.grad is None for p in loss.translator.parameters())

    loss.zero_grad(set_to_none=True)
    ours = student.read(BATCH.images)
    term = loss(ours, theirs, BATCH, START)["ft"]
    expected = 2 * ft(loss.translator(ours.out[-1]), loss.paraphraser.encoder(maps))
    torch.testing.assert_close(term, expected)
    term.backward()
    assert all(p.grad is None for p in loss.paraphraser.parameters())
    assert all(p.grad is not None for p in loss.translator.parameters())
    assert not loss.first.trains_trunk
