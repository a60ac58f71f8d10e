"""The depth networks: sizes as published, and what the decoder does."""

import pytest
import torch
from declared import build

from kdbench.evaluate import cost
from kdbench.evaluate.tasks import task_of
from kdbench.models.families.sparse_to_dense import SparseToDense, unpool

LAINA = 63.6  # million parameters of ResNet-50 with up-projections: Laina et al., 3DV 2016, table 1


def parameters(depth, channels):
    """Of a network for images of so many channels."""
    with torch.device("meta"):
        return cost.parameters(SparseToDense(depth, image=(channels, 64, 64)))


def by_hand(encoder, inputs):
    """Bridge, four up-projections and head on an encoder's last map, layer by layer."""
    total, width = encoder + inputs * inputs // 2 + inputs, inputs // 2
    for _ in range(4):
        half = width // 2
        total += 2 * 25 * width * half + 9 * half * half + 3 * 2 * half
        width = half
    return total + 9 * width


def test_the_teacher_has_the_published_size():
    """To the digit that is printed, for the colours alone."""
    assert round(parameters(50, 3) / 1e6, 1) == LAINA


@pytest.mark.parametrize(
    ("depth", "encoder", "width"), [(18, 11_176_512, 512), (50, 23_508_032, 2048)]
)
def test_sizes_follow_layer_by_layer(depth, encoder, width):
    """On torchvision's encoders without their classifier; a channel more is one more 7x7 map."""
    assert parameters(depth, 3) == by_hand(encoder, width)
    assert parameters(depth, 4) == parameters(depth, 3) + 49 * 64


def test_unpooling_puts_zeros_between_pixels():
    """As a transposed convolution with one 1 among 2 x 2 weights does in the source."""
    x = torch.randn(2, 3, 4, 5)
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).expand(3, 1, 2, 2)

    expected = torch.nn.functional.conv_transpose2d(x, weights, stride=2, groups=3)
    assert torch.equal(unpool(x), expected)


def test_four_channels_give_one_depth_per_pixel():
    """A depth channel alone does too; the sparse depths reach the output."""
    torch.manual_seed(0)
    for channels in (1, 3, 4):
        network = build("sparse-to-dense-resnet18", classes=1, image=(channels, 32, 48)).eval()
        images = torch.randn(2, channels, 32, 48)
        depths = network(images)
        assert depths.shape == (2, 1, 32, 48)
        images[:, -1] += 1
        assert not torch.equal(network(images), depths)
    assert task_of(network).name == "depth"


def test_a_read_of_the_first_stages_runs_no_decoder():
    """The fifth is the halved map, which has a norm and no ReLU."""
    network = build("sparse-to-dense-resnet18", classes=1, image=(4, 32, 48)).eval()
    images = torch.randn(2, 4, 32, 48)

    whole, part = network.read(images), network.read(images, until=5)
    assert len(part.pre) == 6
    assert torch.equal(whole.pre[5], part.pre[5])
    assert (whole.out[5] < 0).any()
    assert torch.equal(whole.pooled, whole.out[5].mean((2, 3)))
    assert part.logits.shape == (2, 0)
