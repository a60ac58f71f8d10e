"""DistPro's candidate transforms: layers, shapes, initialisation."""

import pytest
import torch
from torch import nn, randn

from kdbench.distill.transforms import TRANSFORMS, Attention, Resize, transform
from kdbench.errors import UnknownName
from kdbench.models.stages import Stage

LAYERS = {  # kernel sizes of the convolutions, the attention's included
    "2conv": ["1x1", "norm", "attention", "resize", "3x3", "norm"],
    "3conv": ["1x1", "norm", "attention", "resize", "3x3", "norm", "3x3", "norm"],
    "complex": [
        *["3x3", "norm", "relu", "attention", "3x3", "norm", "relu", "resize", "3x3", "norm"]
    ],
}
NAMES = {nn.BatchNorm2d: "norm", nn.ReLU: "relu", Attention: "attention", Resize: "resize"}


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("size", [(2, 2), (4, 4), (16, 12)], ids=str)
def test_a_transform_gives_the_teachers_shape(kind, size):
    """Smaller, equal or larger maps all end at the teacher's."""
    block = transform(kind, Stage("s", 6, (4, 4)), Stage("t", 9, size))
    assert block(randn(3, 6, 4, 4)).shape == (3, 9, *size)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_transform_has_the_layers_of_its_docstring(kind):
    """In order; every convolution but the attention's is without bias and followed by a norm."""
    block = transform(kind, Stage("s", 6, (4, 4)), Stage("t", 9, (8, 8)))
    found = [
        f"{m.kernel_size[0]}x{m.kernel_size[1]}" if isinstance(m, nn.Conv2d) else NAMES[type(m)]
        for m in block
    ]
    assert found == LAYERS[kind]
    assert all(m.bias is None for m in block.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(("ours", "theirs", "middle"), [(6, 9, 6), (9, 6, 6), (600, 700, 512)])
def test_the_middle_is_the_narrowest_of_the_three(ours, theirs, middle):
    """min(512, teacher's, student's) channels."""
    block = transform("2conv", Stage("s", ours, (2, 2)), Stage("t", theirs, (2, 2)))
    assert block[0].out_channels == middle


def test_the_attention_scales_every_cell_by_one_number(float64):
    """The 1 x 1 convolution's value at a cell multiplies all channels there."""
    attention, maps = Attention(3), randn(2, 3, 4, 4)
    weight = attention.score.weight[0, :, 0, 0].tolist()
    found = attention(maps)
    for b in range(2):
        for i in range(4):
            for j in range(4):
                score = sum(w * v for w, v in zip(weight, maps[b, :, i, j].tolist(), strict=True))
                torch.testing.assert_close(found[b, :, i, j], maps[b, :, i, j] * score)


def test_convolutions_start_with_the_releases_spread():
    """Normal with variance 2 / (k² out)."""
    torch.manual_seed(0)
    block = transform("complex", Stage("s", 64, (4, 4)), Stage("t", 128, (4, 4)))
    for layer in (m for m in block if isinstance(m, nn.Conv2d)):
        expected = (2 / (9 * layer.out_channels)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)


def test_an_unknown_transform_is_named():
    """With the nearest that exists."""
    with pytest.raises(UnknownName, match="did you mean '2conv'"):
        transform("2convs", Stage("s", 6, (4, 4)), Stage("t", 9, (4, 4)))
