"""Small networks of the families that a student can be pruned from, and gates for them."""

from functools import partial

import torch

from kdbench.models.families.densenet import DenseNet
from kdbench.models.families.resnet import ResidualBlock, ResNet
from kdbench.models.families.vgg import VGG
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.pruning.build import gated, layout_of, strengths_of
from kdbench.models.pruning.gates import gated_modules

FAMILIES = {
    "densenet-bc": partial(DenseNet, 22, 4),
    "densenet": partial(DenseNet, 13, 3, bottleneck=False, compression=1.0, stem=5),
    "resnet": partial(ResNet, 14, (6, 6, 8, 10)),
    "resnet, wide": partial(ResNet, 14, (5, 8, 8, 10)),
    "wrn-1": partial(WideResNet, 16, 1),
    "wrn-2": partial(WideResNet, 16, 2),
    "vgg": partial(VGG, 13, (4, 5, 6, 7, 8)),
}


def experienced(name, *, image=(3, 16, 16), classes=5):
    """A network in eval mode whose norms all have statistics and weights of their own."""
    torch.manual_seed(1)
    network = FAMILIES[name](classes=classes, image=image)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.3)
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def with_gates(name, gate, **arguments):
    """A gated network and its gates; `gate(reader, width)` gives each reader's values."""
    network = experienced(name, **arguments)
    gates = gated(network)
    for reader, values in gates.by_reader(gates.values).items():
        values.copy_(gate(reader, len(values)))
    return network, gates


def scattered(share):
    """Gates of which a share is open, at random places and by random amounts."""

    def gate(reader, width):
        return (torch.rand(width) < share) * (0.2 + torch.rand(width))

    return gate


def closed_where(network, plan):
    """Close every gate whose channel a plan does not keep, and silence branches of nothing."""
    with torch.no_grad():
        for name, module in gated_modules(network).items():
            module.gate.mul_(torch.from_numpy(plan.kept[name]))
        for module in network.modules():
            if isinstance(module, ResidualBlock) and not module.first.norm.gate.any():
                module.second.norm.weight.zero_()
                module.second.norm.bias.zero_()


def plan_of(network):
    """What the gates of a network leave of it."""
    return layout_of(network).plan(strengths_of(network))
