"""Gates: factors on the channels that layers read, in the right place and at no cost in maps."""

import copy

import pytest
import torch
from prunable import FAMILIES, experienced, scattered, with_gates
from torch import nn, randn

from kdbench.models.families.densenet import BottleneckLayer, DenseLayer
from kdbench.models.pruning.build import gated, layout_of
from kdbench.models.pruning.gates import folded, gated_modules
from kdbench.models.statistics import frozen_statistics

IMAGES = (4, 3, 16, 16)


class SlowNorm(nn.Module):
    """A plain norm, then the gates on its map."""

    def __init__(self, norm, gate):
        super().__init__()
        self.norm, self.gate = norm, nn.Parameter(gate)

    def forward(self, x):
        """Dense and obvious."""
        return self.norm(x) * self.gate.view(1, -1, 1, 1)


class SlowInput(nn.Module):
    """Gates on a map or a vector, then the plain layer that reads it."""

    def __init__(self, layer, gate):
        super().__init__()
        self.layer, self.gate = layer, nn.Parameter(gate)

    def forward(self, x):
        """Dense and obvious."""
        return self.layer(x * self.gate.view(1, -1, *[1] * (x.dim() - 2)))


def slow_twin(plain, gates):
    """The same network with every gate multiplied into a map."""
    twin = copy.deepcopy(plain)
    for name, gate in gates.by_reader(gates.values).items():
        layer = twin.get_submodule(name)
        kind = SlowNorm if isinstance(layer, nn.BatchNorm2d) else SlowInput
        twin.set_submodule(name, kind(layer, gate.clone()))
    return twin


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize("name", FAMILIES)
def test_outputs_gradients_and_statistics_are_those_of_gates_on_maps(float64, name, mode):
    """Against dense multiplications: logits, every gradient, every running statistic."""
    plain = experienced(name)
    network, gates = with_gates(name, scattered(0.7))
    twin = slow_twin(plain, gates)
    images, outputs = randn(IMAGES), []
    for net in (network, twin):
        net.train(mode != "eval")
        if mode == "frozen":
            with frozen_statistics(net):
                logits = net(images)
        else:
            logits = net(images)
        logits.square().sum().backward()
        outputs.append(logits)
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-10)
    ours = {k: p.grad for k, p in network.named_parameters()}
    theirs = {
        k.replace(".norm.weight", ".weight") if k not in ours else k: p.grad
        for k, p in twin.named_parameters()
    }
    slow = {n: m for n, m in twin.named_modules() if isinstance(m, SlowNorm | SlowInput)}
    for reader, module in slow.items():
        inner = module.norm if isinstance(module, SlowNorm) else module.layer
        for key, parameter in inner.named_parameters():
            theirs[f"{reader}.{key}"] = parameter.grad
    assert slow.keys() == gates.leaves.keys()
    for key, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[key], rtol=1e-8, atol=1e-9, msg=key)
    for reader, module in slow.items():
        if isinstance(module, SlowNorm):
            for key, value in module.norm.named_buffers():
                torch.testing.assert_close(network.get_submodule(reader).get_buffer(key), value)


@pytest.mark.parametrize("name", FAMILIES)
def test_open_gates_change_nothing_and_folding_takes_them_out(name):
    """The gated network starts as the plain one; a folded copy has the plain one's keys."""
    plain, images = experienced(name), randn(IMAGES)
    network, gates = with_gates(name, lambda reader, width: torch.ones(width))
    torch.testing.assert_close(network(images), plain(images))
    keys = {f"{reader}.gate" for reader in gates.leaves}
    assert network.state_dict().keys() == plain.state_dict().keys() | keys
    gates.values.copy_(torch.rand(len(gates.values)))
    flat = folded(network)
    assert flat.state_dict().keys() == plain.state_dict().keys()
    assert not gated_modules(flat) and gated_modules(network)
    torch.testing.assert_close(flat(images), network(images), rtol=1e-4, atol=1e-4)


def test_gates_move_with_the_flat_tensor_and_with_a_loaded_state():
    """One storage: what is written to either is read from both."""
    network = experienced("resnet")
    gates = gated(network)
    gates.values.mul_(0.5)
    assert all(bool((leaf == 0.5).all()) for leaf in gates.leaves.values())
    state = {k: v + 1 if k.endswith("gate") else v for k, v in network.state_dict().items()}
    network.load_state_dict(state)
    assert bool((gates.values == 1.5).all())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_reads_through_exactly_one_gate_per_channel(name):
    """All convolutions and the classifier but the one that sees the image, and what they read."""
    network = experienced(name)
    widths, read = layout_of(network).widths, {}
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            read[path] = module.weight.shape[1]
    assert read.pop(next(iter(read))) == 3
    if name.startswith("densenet"):
        layers = [m for m in network.modules() if isinstance(m, BottleneckLayer | DenseLayer)]
        per_layer = 2 if isinstance(layers[0], BottleneckLayer) else 1
        assert len(widths) == per_layer * len(layers) + 3 == len(read)
        assert sorted(widths.values()) == sorted(read.values())
    elif name.startswith("wrn"):  # a shortcut shares the norm of the convolution beside it
        shortcuts = [key for key in read if key.endswith("shortcut")]
        assert len(widths) == len(read) - len(shortcuts)
    elif name.startswith("resnet"):
        paths = {key.replace("second.conv", "first.norm") for key in read}
        assert paths == widths.keys()
    else:
        assert read == widths
