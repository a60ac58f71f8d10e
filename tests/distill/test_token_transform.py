"""DistPro's pathways between transformers: the transform and the loss against slow references."""

import pytest
import torch
from build_loss import build_loss
from torch import nn, rand, randn
from torch.nn.functional import gelu

from kdbench.distill.pathways import Pathways
from kdbench.distill.transforms import transform
from kdbench.engine.position import TrainingPosition
from kdbench.models.families.vit import VisionTransformer
from kdbench.models.stages import Stage
from kdbench.plan.components import find_components


def block(ours=5, theirs=7, size=(6, 6)):
    """The transform from 4 x 4 tokens of `ours` channels to the teacher's, its weights drawn."""
    built = transform("tokens", Stage("s", ours, (4, 4)), Stage("t", theirs, size))
    for parameter in built.parameters():
        nn.init.normal_(parameter)
    return built


def slow(built, maps, size):
    """The same, a token at a time, from the module's weights alone."""
    norm, narrow, _, attention, neighbours, _, widen = built
    count, _, height, width = maps.shape
    gamma, beta = norm.norm.weight, norm.norm.bias
    middle = torch.zeros(count, narrow.out_channels, height, width)
    for b in range(count):
        for i in range(height):
            for j in range(width):
                token = maps[b, :, i, j]
                centred = token - token.mean()
                normed = centred / (centred.square().mean() + norm.norm.eps).sqrt() * gamma + beta
                small = gelu(narrow.weight[:, :, 0, 0] @ normed + narrow.bias)
                middle[b, :, i, j] = small * (attention.score.weight[0, :, 0, 0] @ small)
    mixed = middle.clone()
    for i in range(height):
        for j in range(width):
            mixed[:, :, i, j] += neighbours.mix.bias
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if 0 <= i + di < height and 0 <= j + dj < width:
                        weight = neighbours.mix.weight[:, 0, di + 1, dj + 1]
                        mixed[:, :, i, j] += weight * middle[:, :, i + di, j + dj]
    out = torch.zeros(count, widen.out_channels, *size)
    for i in range(size[0]):
        for j in range(size[1]):
            seen = mixed[:, :, i * height // size[0], j * width // size[1]]
            out[:, :, i, j] = seen @ widen.weight[:, :, 0, 0].T + widen.bias
    return out


@pytest.mark.parametrize("size", [(4, 4), (6, 6), (2, 2)], ids=str)
def test_the_transform_of_tokens_is_its_slow_form(float64, size):
    """Norm, narrow, attend, mix neighbours, resize, widen."""
    built, maps = block(size=size), randn(2, 5, 4, 4)
    torch.testing.assert_close(built(maps), slow(built, maps, size))


def slow_distance(maps, target):
    """The hierarchical context loss on a grid whose sides 4, 2 and 1 divide, cell by cell."""
    gap = maps - target
    total, weights, weight = gap.square().mean(), 1.0, 1.0
    side = gap.shape[-1]
    for level in (4, 2, 1):
        if level >= side:
            continue
        weight /= 2
        weights += weight
        cell = side // level
        means = [
            gap[:, :, i * cell : (i + 1) * cell, j * cell : (j + 1) * cell].mean((2, 3))
            for i in range(level)
            for j in range(level)
        ]
        total = total + weight * torch.stack(means).square().mean()
    return total / weights


def pair():
    """Two transformers of 4 x 4 tokens, as the pair ViT-B and DeiT-tiny declares its pathways."""
    shape = {"patch": 2, "classes": 3, "image": (3, 8, 8)}
    student, teacher = VisionTransformer("mini", **shape), VisionTransformer("mini", **shape)
    declared = find_components().get("method", "equal", where="test").declaration
    space = declared.pairs["vit-b-16:deit-tiny"]
    return student, teacher, build_loss(Pathways, student, teacher, declaration="equal", **space)


def test_a_transformer_pair_has_fifteen_pathways_of_token_maps(float64):
    """The loss is the slow form's mean, and reads grids without the class token."""
    student, teacher, loss = pair()
    images = randn(2, 3, 8, 8)
    ours, theirs = student.read(images), teacher.read(images)
    start = TrainingPosition(step=0, steps=1, epoch=0, epochs=1)
    term = loss(ours, theirs, None, start)["pathways"]

    assert len(loss.names) == 15
    assert {tuple(maps.shape[2:]) for maps in ours.pre} == {(4, 4)}
    expected = [
        slow_distance(slow(built, ours.pre[j], (4, 4)), theirs.pre[i])
        for built, (i, j, _) in zip(loss.transforms, loss.pathways, strict=True)
    ]
    torch.testing.assert_close(term, torch.stack(expected).mean())


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_the_search_can_differentiate_token_maps_forwards(float64):
    """The exact meta-gradient needs it: it agrees with a small difference along the direction."""
    built, maps, along = block(), randn(2, 5, 4, 4), rand(2, 5, 4, 4)
    (_, slope) = torch.func.jvp(built, (maps,), (along,))

    small = 1e-6
    expected = (built(maps + small * along) - built(maps - small * along)) / (2 * small)
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-6)
