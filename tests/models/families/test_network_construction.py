"""What cannot be built is refused, and what can starts with the weights that its papers say."""

import pytest
import torch
from declared import DECLARATIONS, SMALLEST, build
from torch import nn

from kdbench.errors import BadValue
from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.googlenet import GoogLeNet
from kdbench.models.families.mobilenet_v2 import MobileNetV2
from kdbench.models.families.pyramidnet import PyramidNet
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.resnet_cifar import CifarResNet
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.vgg import VGG
from kdbench.models.families.wide_resnet import WideResNet

REFUSED = {
    "ResNet depth": (lambda: ResNet(18), "found 18, expected 6n.*nearest is 20$"),
    "least ResNet": (lambda: ResNet(2), "found 2, expected 6n.*nearest is 8$"),
    "wide ResNet depth": (lambda: WideResNet(17, 2), "found 17, expected 6n.*nearest is 16$"),
    "least wide ResNet": (lambda: WideResNet(4, 2), "found 4, expected 6n.*nearest is 10$"),
    "wide ResNet width": (lambda: WideResNet(16, 0), "width of a wide ResNet: found 0"),
    "VGG depth": (lambda: VGG(12), "depth of a VGG: found 12, expected one of 8, 11, 13, 16, 19$"),
    "CIFAR ResNet depth": (lambda: CifarResNet(20), "CIFAR: found 20, expected one of 18, 34, 50$"),
    "GoogLeNet width": (lambda: GoogLeNet(0.03), "width of a GoogLeNet: found 0.03"),
    "MobileNet width": (lambda: MobileNetV2(0.06), "found 0.06, expected at least 1/16$"),
    "MobileNet repeats": (
        lambda: MobileNetV2(1.0, repeats=[1, 2, 0, 4, 3, 3, 1]),
        r"found \[1, 2, 0, 4, 3, 3, 1\], expected 7 numbers, each at least 1$",
    ),
    "MobileNet groups": (lambda: MobileNetV2(1.0, repeats=[1] * 6), "expected 7 numbers"),
    "ShuffleNet width": (lambda: ShuffleNetV2(0.7), "found 0.7, expected one of 0.5, 1.0, 1.5"),
    "ShuffleNet channels": (lambda: ShuffleNetV2(channels=[9, 8, 8]), r"found \[9, 8, 8\].*even"),
    "DenseNet-BC depth": (lambda: DenseNet(9, 12), "found 9, expected at least 10$"),
    "DenseNet depth": (lambda: DenseNet(6, 12, bottleneck=False), "found 6, expected at least 7$"),
    "DenseNet growth": (lambda: DenseNet(40, 0), "growth of a DenseNet: found 0"),
    "PyramidNet depth": (lambda: PyramidNet(111, 84), r"found 111, expected 6n \+ 2 with n >= 1$"),
    "PyramidNet depth, bottleneck": (
        lambda: PyramidNet(112, 84, bottleneck=True),
        r"found 112, expected 9n \+ 2 with n >= 1$",
    ),
    "PyramidNet alpha": (lambda: PyramidNet(20, -1), "alpha of a PyramidNet: found -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_built_is_one_clear_line(case):
    """The message says what was found and what exists."""
    build_it, message = REFUSED[case]
    with pytest.raises(BadValue, match=message):
        build_it()


FAN_OUT = [
    lambda: ResNet(14, (32, 64, 128, 256)),
    lambda: WideResNet(16, 4),
    lambda: VGG(8),
    lambda: MobileNetV2(1.0),
    lambda: DenseNet(22, 12),
    lambda: PyramidNet(20, 48),
    lambda: CifarResNet(18),
]


@pytest.mark.parametrize("build_it", FAN_OUT)
def test_convolutions_start_with_the_variance_of_their_fan_out(build_it):
    """Zero mean and variance 2 / (k² · outputs), within four standard errors; biases are 0."""
    torch.manual_seed(0)
    convolutions = [m for m in build_it().modules() if isinstance(m, nn.Conv2d)]

    assert len(convolutions) >= 5  # as many as the least of these networks, VGG8, has
    for module in convolutions:
        weight, n = module.weight.detach(), module.weight.numel()
        expected = 2 / (module.kernel_size[0] ** 2 * module.out_channels)
        assert abs(weight.mean().item()) < 4 * (expected / n) ** 0.5
        assert abs(weight.var().item() / expected - 1) < 4 * (2 / n) ** 0.5
        assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize("stem", ["vgg", "mobilenet_v2"])
def test_classifiers_of_vgg_and_mobilenet_v2_start_small(stem):
    """As in the reference code: standard deviation 0.01, no bias."""
    torch.manual_seed(0)
    classifier = build(SMALLEST[stem]).classifier

    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not classifier.bias.any()


def test_the_classifier_s_bias_starts_at_zero_where_the_reference_code_says_so():
    """So they do in the reference code of wide ResNets and DenseNets; that of ResNets does not."""
    assert not WideResNet(16, 1).classifier.bias.any()
    assert not DenseNet(10, 4).classifier.bias.any()
    assert ResNet(8).classifier.bias.all()
    assert PyramidNet(20, 12).classifier.bias.all()


@pytest.mark.parametrize("stem", [s for s in SMALLEST if "module" not in DECLARATIONS[s]])
def test_the_seed_decides_the_weights(stem):
    """The same seed gives the same network, another seed another one."""

    def weights(seed):
        torch.manual_seed(seed)
        network = build(SMALLEST[stem], classes=5, image=(3, 32, 32))
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first = weights(3)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)
