"""Parameters and multiply-adds, against the field's own tables."""

import pytest
import torch
from torch import nn

from kdbench.evaluate.cost import multiply_adds, parameters
from kdbench.models.resnet import ResNet
from kdbench.models.shufflenet_v1 import ShuffleNetV1
from kdbench.models.shufflenet_v2 import ShuffleNetV2
from kdbench.models.wide_resnet import WideResNet

PUBLISHED = {  # parameters with 100 classes; millions of multiply-adds for one 32 x 32 image
    "wrn-40-2": (lambda: WideResNet(40, 2), 2_255_156, 327.61),
    "wrn-16-2": (lambda: WideResNet(16, 2), 703_284, 101.12),
    "resnet20": (lambda: ResNet(20), 278_324, 40.82),
    "resnet56": (lambda: ResNet(56), 861_620, 125.75),
    "resnet32x4": (lambda: ResNet(32, (32, 64, 128, 256)), 7_433_860, 1083.04),
    "shufflenet-v1": (ShuffleNetV1, 949_258, 38.69),
    "shufflenet-v2": (ShuffleNetV2, 1_355_528, 44.50),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_costs_are_those_of_the_fields_tables(name):
    """Convolutions and linear layers count; a batch norm has two numbers a channel."""
    build, numbers, millions = PUBLISHED[name]
    with torch.device("meta"):
        network = build()

    assert parameters(network) == numbers
    assert round(multiply_adds(network, (3, 32, 32)) / 1e6, 2) == millions


def slow_multiply_adds(network, image):
    """Layer by layer, from the shapes that a hook sees."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += layer.weight[0].numel() * output[0].numel()
        if isinstance(layer, nn.Linear):
            total += layer.weight.numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    network(torch.zeros(1, *image))
    return total


@pytest.mark.parametrize("image", [(3, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("build", [lambda: WideResNet(10, 1), lambda: ResNet(8), ShuffleNetV1])
def test_multiply_adds_are_those_of_the_loop(build, image):
    """Groups and strides included, at other sizes too."""
    network = build().eval()

    assert multiply_adds(network, image) == slow_multiply_adds(network, image)


def test_counting_leaves_the_network_alone():
    """Neither its mode nor its place nor a statistic."""
    network = ResNet(8).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    multiply_adds(network, (3, 32, 32))

    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
