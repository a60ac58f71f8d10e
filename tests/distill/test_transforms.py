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
    """From smaller, equal and larger maps."""
    block = transform(kind, Stage("s", 6, (4, 4)), Stage("t", 9, size))
    assert block(randn(3, 6, 4, 4)).shape == (3, 9, *size)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_transform_has_the_documented_layers_in_order(kind):
    """No convolution has a bias."""
    block = transform(kind, Stage("s", 6, (4, 4)), Stage("t", 9, (8, 8)))
    layers = [
        f"{m.kernel_size[0]}x{m.kernel_size[1]}" if isinstance(m, nn.Conv2d) else NAMES[type(m)]
        for m in block
    ]
    assert layers == LAYERS[kind]
    assert all(m.bias is None for m in block.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(("ours", "theirs", "middle"), [(6, 9, 6), (9, 6, 6), (600, 700, 512)])
def test_the_middle_of_a_transform_has_at_most_512_channels(ours, theirs, middle):
    """And no more than either network."""
    block = transform("2conv", Stage("s", ours, (2, 2)), Stage("t", theirs, (2, 2)))
    assert block[0].out_channels == middle


def test_attention_multiplies_all_channels_of_a_cell_by_one_number(float64):
    """By the value of the 1 x 1 convolution there."""
    attention, maps = Attention(3), randn(2, 3, 4, 4)
    weight = attention.score.weight[0, :, 0, 0].tolist()
    scaled = attention(maps)
    for b in range(2):
        for i in range(4):
            for j in range(4):
                score = sum(w * v for w, v in zip(weight, maps[b, :, i, j].tolist(), strict=True))
                torch.testing.assert_close(scaled[b, :, i, j], maps[b, :, i, j] * score)


def test_convolutions_start_with_the_releases_spread():
    """The variance of their weights is 2 / (k² out)."""
    torch.manual_seed(0)
    block = transform("complex", Stage("s", 64, (4, 4)), Stage("t", 128, (4, 4)))
    layers = [layer for layer in block if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 3
    for layer in layers:
        expected = (2 / (9 * layer.out_channels)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)


def test_an_error_about_an_unknown_transform_names_the_nearest():
    """For "2convs" that is "2conv"."""
    with pytest.raises(UnknownName, match="did you mean '2conv'"):
        transform("2convs", Stage("s", 6, (4, 4)), Stage("t", 9, (4, 4)))
