"""Parameters and both counts of operations, against the field's own tables and by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kdbench.evaluate.cost import (
    Operations,
    flops_with_elements,
    multiply_adds,
    operations,
    parameters,
)
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.shufflenet_v1 import ShuffleNetV1
from kdbench.models.families.shufflenet_v2 import ShuffleNetV2
from kdbench.models.families.vit import VisionTransformer
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.statistics import frozen_statistics
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class

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
    """Convolutions and linear layers count; a batch norm has two numbers per channel."""
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


class Small(nn.Module):
    """A 3×3 convolution from 3 to 4 channels, a batch norm, and what is asked for behind it."""

    def __init__(self, last):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.last = last

    def forward(self, x):
        """A map of 4 channels."""
        return self.last(self.norm(self.conv(x)))


MAP = 4 * 8 * 8  # elements of its output for an 8×8 image
RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "ReLU6": nn.ReLU6(),
    "ReLU6 in place": nn.ReLU6(inplace=True),
    "relu6": F.relu6,
    "clamp to 6": lambda x: x.clamp(0, 6),
    "hardtanh": lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0),
}
OTHERS = {
    "nothing": lambda x: x,
    "gelu": F.gelu,
    "leaky relu": F.leaky_relu,
    "hardtanh": F.hardtanh,
    "bounded from above": lambda x: x.clamp(max=6),
    "bounded from elsewhere": lambda x: x.clamp(min=1e-6),
    "bounded by a map": lambda x: x.clamp(min=torch.zeros_like(x)),
    "clamped indices": lambda x: x + x.new_ones(8).clamp(min=0),
    "sum": lambda x: x + x,
    "pooling": lambda x: F.max_pool2d(x, 2),
    "group norm": nn.GroupNorm(2, 4),
    "layer norm": nn.LayerNorm(8),
}


@pytest.mark.parametrize("form", RELUS)
def test_a_relu_counts_however_it_is_written(form):
    """3 · 9 multiply-adds per output of the convolution; one for the norm's and for the ReLU's."""
    assert operations(Small(RELUS[form]), (3, 8, 8)) == Operations(27 * MAP, 2 * MAP)


@pytest.mark.parametrize("form", OTHERS)
def test_other_operations_are_free(form):
    """Other activations, norms, sums and poolings are free: only the batch norm's elements are."""
    assert operations(Small(OTHERS[form]), (3, 8, 8)) == Operations(27 * MAP, MAP)


def test_resnet8_counts_as_by_hand():
    """Layer by layer, for one 32×32 image and 100 classes."""
    stem = 3 * 9 * 16 * 32**2
    first = 2 * 16 * 9 * 16 * 32**2
    second = (16 * 9 * 32 + 32 * 9 * 32 + 16 * 32) * 16**2  # two convolutions and a shortcut
    third = (32 * 9 * 64 + 64 * 9 * 64 + 32 * 64) * 8**2
    norms = (1 + 2) * 16 * 32**2 + 3 * 32 * 16**2 + 3 * 64 * 8**2
    relus = (1 + 2) * 16 * 32**2 + 2 * 32 * 16**2 + 2 * 64 * 8**2
    macs = stem + first + second + third + 64 * 100

    network = ResNet(8)

    assert operations(network, (3, 32, 32)) == (macs, norms + relus)
    assert multiply_adds(network, (3, 32, 32)) == macs
    assert flops_with_elements(network, (3, 32, 32)) == macs + norms + relus


def test_densenet_has_the_296_million_of_sbs():
    """Only with the elements of batch norms and ReLUs are they the published ones."""
    component = find_components().get("network", "densenet-bc-100-12", where="test")
    with torch.device("meta"):
        cls = find_class(component)
        network = cls(**component.arguments, classes=100)

    assert round(multiply_adds(network, (3, 32, 32)) / 1e6, 2) == 287.96
    assert round(flops_with_elements(network, (3, 32, 32)) / 1e6, 1) == 296.5


@pytest.mark.parametrize("fused", [True, False])
def test_a_transformer_counts_as_by_hand(fused):
    """Its linear layers and both products of attention, however that is computed; no elements."""
    network = VisionTransformer("ti", classes=10, image=(3, 16, 16), patch=4)
    for stage in list(network.trunk.values())[1:]:
        for block in stage.blocks:
            block.attn.fused_attn = fused
    width, patches = 192, 16
    tokens = 1 + patches
    linear = 12 * tokens * width**2  # queries, keys, values, projection; four times as wide; back
    attention = 2 * tokens**2 * width

    expected = 12 * (linear + attention) + 3 * 4**2 * width * patches + width * 10
    assert operations(network, (3, 16, 16)) == (expected, 0)


@pytest.mark.parametrize("training", [True, False])
def test_the_state_of_a_network_does_not_matter(training):
    """Mode, frozen statistics, number format and place: the same counts."""
    expected = operations(ResNet(8), (3, 16, 16))
    with torch.device("meta"):
        nowhere = ResNet(8)
    network = ResNet(8).double().train(training)

    assert operations(network, (3, 16, 16)) == operations(nowhere, (3, 16, 16)) == expected
    with frozen_statistics(network):
        assert operations(network, (3, 16, 16)) == expected


def test_one_image_that_ends_as_one_number_can_be_counted():
    """In train mode a batch norm would refuse a single 1×1 map."""
    network = ShuffleNetV2().train()

    assert operations(network, (3, 8, 8)).multiply_adds < 45e6 / 10


def test_images_have_the_network_s_number_format():
    """Float64 networks are given float64 images."""
    seen = []
    operations(Small(lambda x: seen.append(x.dtype) or x).double(), (3, 8, 8))

    assert seen == [torch.float64]


def test_counting_leaves_the_network_alone():
    """Neither its mode nor its place nor a statistic; no number is drawn."""
    network = ResNet(8).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    random = torch.get_rng_state()
    operations(network, (3, 32, 32))

    assert network.training
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
