"""Norms folded into convolutions: the same maps, fewer passes over them."""

import pytest
import torch
from declared import every, small
from torch import nn

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, conv
from kdbench.models.families.resnet import ResNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.folding import fold_norms
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

MAPS = ("pre", "post", "out", "blocks")


def norms(network):
    """How many batch norms a network has."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@torch.no_grad()
@every
def test_a_folded_network_shows_the_same_maps(stem):
    """In float64 nothing is left but rounding; what was folded is a norm no more."""
    network = small(stem).double()
    images = torch.randn(3, *network.image, dtype=torch.float64)
    before, count = network.read(images), norms(network)
    folded = fold_norms(network.train())  # as it is when it comes from its file
    after = network.read(images)

    assert norms(network) == count - folded
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-9, atol=1e-9)
    for name in MAPS:
        for one, other in zip(getattr(before, name), getattr(after, name), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("network", "left"),
    [(ResNet(20, image=(3, 8, 8)), 0), (WideResNet(16, 1, image=(3, 8, 8)), 7)],
    ids=["resnet", "wrn"],
)
def test_every_norm_behind_a_convolution_is_folded_unless_that_is_shown(network, left):
    """All of a ResNet's are; of a wide one's those behind sums stay, and that behind the stem."""
    fold_norms(network.eval())
    assert norms(network) == left


@torch.no_grad()
def test_the_layout_of_the_weights_stays():
    """A folded network in channels-last goes on in it."""
    network = ResNet(8, image=(3, 8, 8)).eval().to(memory_format=torch.channels_last)
    fold_norms(network)
    kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]

    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


class Twice(ConvNorm):
    """A block that reads its convolution's output twice."""

    def forward(self, x):
        """The norm, and the map before it."""
        maps = self.conv(x)
        return self.norm(maps) + maps


def test_a_convolution_that_is_read_twice_is_refused_in_one_line():
    """Folding it would change what the other reader gets."""
    block = Twice(4, 4, 3)
    nn.init.uniform_(block.norm.running_var, 2.0, 3.0)
    stages = [ActivatedStage(conv(3, 4, 3)), ActivatedStage(block)]
    network = StagedNetwork(stages, 4, classes=5, image=(3, 8, 8)).eval()
    with pytest.raises(BadValue, match="fold_teacher: false") as caught:
        fold_norms(network)

    assert "\n" not in str(caught.value)
