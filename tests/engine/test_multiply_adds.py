"""Multiply-adds of real passes, against sums by hand."""

import pytest
import torch
from torch import nn

from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.evaluate.cost import multiply_adds
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.torchvision_mobilenet_v2 import TorchvisionMobileNetV2
from kdbench.search.hypergradient import wake_forward_mode

IMAGE = (3, 8, 8)


def macs_of(network, images):
    """What a forward pass takes, and what forward and backward take."""
    with MultiplyAdds() as forward:
        loss = network(images).sum()
    with MultiplyAdds() as backward:
        loss.backward()
    return forward.macs, backward.macs


def test_a_convolution_counts_as_by_hand():
    """Backward is one product for the weights, and one for the images where those want it."""
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    once = 2 * 8 * 8 * 5 * 3 * 9

    assert macs_of(layer, torch.randn(2, *IMAGE)) == (once, once)
    assert macs_of(layer, torch.randn(2, *IMAGE, requires_grad=True)) == (once, 2 * once)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_grouped_convolution_counts_as_so_many_small_ones(groups, transposed):
    """Depthwise ones included; each gradient takes what the forward pass takes."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(6, 12, 3, padding=1, stride=2, groups=groups, bias=False)
    places = 8 * 8 if transposed else 4 * 4
    once = 2 * places * 9 * groups * (6 // groups) * (12 // groups)

    assert macs_of(layer, torch.randn(2, 6, 8, 8, requires_grad=True)) == (once, 2 * once)


def test_a_step_of_a_network_of_depthwise_convolutions_takes_three_passes():
    """One forward and two backward, of which the stem spares one."""
    network = TorchvisionMobileNetV2(classes=10, image=(3, 32, 32))
    forward, backward = macs_of(network, torch.randn(2, 3, 32, 32))

    assert forward == 2 * multiply_adds(network, (3, 32, 32))
    assert 1.9 * forward < backward < 2 * forward


def test_a_forward_pass_counts_what_the_zoo_says():
    """Of a whole network, a batch of three."""
    network = ResNet(20, classes=10, image=IMAGE)
    forward, backward = macs_of(network, torch.randn(3, *IMAGE))

    assert forward == 3 * multiply_adds(network, IMAGE)
    assert 1.8 * forward < backward < 2 * forward  # no gradient in the images


def test_counting_changes_no_bit():
    """Values and gradients under the counter are those without it."""
    torch.manual_seed(0)
    network, images = ResNet(8, classes=10, image=IMAGE), torch.randn(4, *IMAGE)

    def gradients():
        network.zero_grad()
        network(images).logsumexp(1).sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    plain = gradients()
    with MultiplyAdds():
        counted = gradients()
    assert all(torch.equal(a, b) for a, b in zip(plain, counted, strict=True))


@pytest.mark.parametrize("mode", ["forward mode", "autocast"])
def test_transforms_are_counted(mode):
    """A derivative along a direction takes more products; bfloat16 takes as many."""
    wake_forward_mode()
    layer, images = nn.Linear(6, 4, bias=False), torch.randn(5, 6)
    weight = layer.weight.detach()
    with MultiplyAdds() as counted:
        if mode == "forward mode":
            torch.func.jvp(lambda w: images @ w.T, (weight,), (torch.ones_like(weight),))
        else:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                layer(images)
    once = 5 * 6 * 4
    assert counted.macs in ((2 * once, 3 * once) if mode == "forward mode" else (once,))
