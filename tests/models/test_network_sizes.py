"""Published sizes: parameters, multiply-adds and shapes, all without computing a number."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdbench.errors import BadValue
from kdbench.models.resnet import ResNet
from kdbench.models.shufflenet_v1 import ShuffleNetV1
from kdbench.models.shufflenet_v2 import ShuffleNetV2
from kdbench.models.wide_resnet import WideResNet

X4 = (32, 64, 128, 256)
SIZES = [  # parameters with 100 classes; millions of multiply-adds for one 32×32 image
    ("resnet8", ResNet, (8,), 83_892, 12.51),
    ("resnet14", ResNet, (14,), 181_108, 26.66),
    ("resnet20", ResNet, (20,), 278_324, 40.82),
    ("resnet32", ResNet, (32,), 472_756, 69.13),
    ("resnet44", ResNet, (44,), 667_188, 97.44),
    ("resnet56", ResNet, (56,), 861_620, 125.75),
    ("resnet110", ResNet, (110,), 1_736_564, 253.16),
    ("resnet8x4", ResNet, (8, X4), 1_233_540, 177.07),
    ("resnet32x4", ResNet, (32, X4), 7_433_860, 1083.04),
    ("wrn-16-1", WideResNet, (16, 1), 180_916, 26.66),
    ("wrn-16-2", WideResNet, (16, 2), 703_284, 101.12),
    ("wrn-40-1", WideResNet, (40, 1), 569_780, 83.29),
    ("wrn-40-2", WideResNet, (40, 2), 2_255_156, 327.61),
    ("wrn-28-2", WideResNet, (28, 2), 1_479_220, 214.36),
    ("wrn-28-4", WideResNet, (28, 4), 5_872_180, 845.62),
    ("wrn-16-4", WideResNet, (16, 4), 2_772_020, 392.64),
    ("wrn-28-10", WideResNet, (28, 10), 36_536_884, 5243.39),
    ("wrn-40-4", WideResNet, (40, 4), 8_972_340, 1298.61),
    ("shufflenet-v1", ShuffleNetV1, (), 949_258, 38.69),
    ("shufflenet-v2", ShuffleNetV2, (), 1_355_528, 44.50),
]
SHAPES = [
    (ResNet, (8,), [(16, 32), (16, 32), (32, 16), (64, 8)], 64),
    (ResNet, (8, X4), [(32, 32), (64, 32), (128, 16), (256, 8)], 256),
    (WideResNet, (16, 1), [(16, 32), (16, 32), (32, 16), (64, 8)], 64),
    (WideResNet, (16, 4), [(16, 32), (64, 32), (128, 16), (256, 8)], 256),
    (ShuffleNetV1, (), [(24, 32), (240, 16), (480, 8), (960, 4)], 960),
    (ShuffleNetV2, (), [(24, 32), (116, 16), (232, 8), (464, 4)], 1024),
]


@pytest.mark.parametrize(
    ("family", "arguments", "parameters", "macs"),
    [row[1:] for row in SIZES],
    ids=[row[0] for row in SIZES],
)
def test_size_is_as_published(family, arguments, parameters, macs):
    """Parameters agree exactly, multiply-adds of convolutions and linear layers to all digits."""
    with torch.device("meta"):
        network = family(*arguments, classes=100).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 32, 32))

    assert sum(p.numel() for p in network.parameters()) == parameters
    assert round(counter.get_total_flops() / 2e6, 2) == macs


@pytest.mark.parametrize(("family", "arguments", "maps", "pooled"), SHAPES)
def test_stages_have_the_published_shapes(family, arguments, maps, pooled):
    """Channels and size of stem and stages for a 32×32 image, and the pooled width."""
    with torch.device("meta"):
        network = family(*arguments)

    assert [(s.channels, s.size[0]) for s in network.stages] == maps
    assert all(s.size[0] == s.size[1] for s in network.stages)
    assert network.pooled_width == pooled


def test_images_need_not_be_square():
    """Height comes first in a stage's size."""
    assert ResNet(8, image=(3, 16, 32)).stages[3].size == (4, 8)


@pytest.mark.parametrize(
    ("family", "arguments", "found", "nearest"),
    [
        (ResNet, (18,), "18", "20"),
        (ResNet, (2,), "2", "8"),
        (WideResNet, (17, 2), "17", "16"),
        (WideResNet, (4, 2), "4", "10"),
    ],
)
def test_a_depth_that_does_not_exist_is_one_clear_line(family, arguments, found, nearest):
    """The message says what was found, what exists, and the nearest depth."""
    with pytest.raises(BadValue, match=rf"found {found}, expected 6n.*nearest is {nearest}$"):
        family(*arguments)


def test_a_width_below_one_is_refused():
    """A wide ResNet of width 0 has no channels."""
    with pytest.raises(BadValue, match="width of a wide ResNet: found 0"):
        WideResNet(16, 0)


@pytest.mark.parametrize("build", [lambda: ResNet(14, X4), lambda: WideResNet(16, 4)])
def test_convolutions_start_with_the_variance_of_their_fan_out(build):
    """Zero mean and variance 2 / (k² · outputs), within four standard errors."""
    torch.manual_seed(0)
    for module in build().modules():
        if isinstance(module, nn.Conv2d):
            weight, n = module.weight.detach(), module.weight.numel()
            expected = 2 / (module.kernel_size[0] ** 2 * module.out_channels)
            assert abs(weight.mean().item()) < 4 * (expected / n) ** 0.5
            assert abs(weight.var().item() / expected - 1) < 4 * (2 / n) ** 0.5


def test_the_bias_of_a_wide_resnet_starts_at_zero():
    """Its reference code zeroes the classifier's bias; that of ResNets does not."""
    assert not WideResNet(16, 1).classifier.bias.any()
    assert ResNet(8).classifier.bias.all()


def test_the_seed_decides_the_weights():
    """The same seed gives the same network, another seed another one."""

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in ShuffleNetV2().parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
