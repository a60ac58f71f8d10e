"""Batch norms that look at a batch without remembering it."""

import copy

import pytest
import torch
from declared import DECLARATIONS, SMALLEST, small
from torch import nn
from torch.func import functional_call, grad, jvp
from torch.nn.functional import cross_entropy

from kdbench.models.families.resnet import ResNet
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.statistics import frozen_statistics

# torch warns of its own use of torch.jit when forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")


def tracked(network: nn.Module) -> set[bool]:
    """What the norms of a network are set to."""
    return {m.track_running_stats for m in network.modules() if isinstance(m, nn.BatchNorm2d)}


@pytest.fixture
def network():
    """A small network in train mode whose running statistics are far from any batch's."""
    torch.manual_seed(0)
    network = ResNet(8, classes=5).train()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.fill_(3.0)
    return network


@torch.no_grad()
def test_no_buffer_changes(network):
    """Passes inside leave every bit of every buffer; a pass after them changes all again."""
    before = copy.deepcopy(dict(network.named_buffers()))
    images = torch.randn(4, 3, 8, 8)

    with frozen_statistics(network):
        network(images)
        network.read(images)
    assert all(torch.equal(b, before[name]) for name, b in network.named_buffers())

    network(images)
    assert not any(torch.equal(b, before[name]) for name, b in network.named_buffers())


@torch.no_grad()
def test_logits_are_those_of_the_mode(network):
    """Train mode goes on using the batch, eval mode the running statistics."""
    images = torch.randn(4, 3, 8, 8)
    with frozen_statistics(network):
        train, evaluated = network(images), network.eval()(images)

    assert torch.equal(evaluated, network(images))
    assert torch.equal(train, network.train()(images))
    assert not torch.equal(train, evaluated)


def test_what_was_set_comes_back_after_an_exception(network):
    """An exception passes through, and leaves the norms as they were."""
    with pytest.raises(RuntimeError, match="boom"), frozen_statistics(network):
        assert tracked(network) == {False}
        raise RuntimeError("boom")

    assert tracked(network) == {True}


def test_contexts_nest_and_take_several_modules(network):
    """An inner context, and the same module twice, end without unfreezing the outer one."""
    other = WideResNet(10, 1)
    with frozen_statistics(network, other, network):
        with frozen_statistics(network):
            pass
        assert tracked(network) == tracked(other) == {False}

    assert tracked(network) == tracked(other) == {True}


@pytest.mark.parametrize("stem", [s for s in SMALLEST if "module" not in DECLARATIONS[s]])
def test_forward_mode_agrees_with_reverse_mode(float64, stem):
    """The directional derivative of the loss is the gradient's product with the direction.

    Declarations that share another one's class are left out: they run the same code.
    """
    network = small(stem).train()
    torch.manual_seed(0)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    direction = {name: torch.randn_like(p) for name, p in weights.items()}
    images, labels = torch.randn(3, 3, 8, 8), torch.arange(3)

    def loss(weights):
        torch.manual_seed(1)  # where a network drops out, both modes drop the same
        features = functional_call(network, weights, (images,), {"read": True})
        return cross_entropy(features.logits, labels) + features.pre[2].square().mean()

    with frozen_statistics(network):
        _, slope = jvp(loss, (weights,), (direction,))
        gradient = grad(loss)(weights)

    expected = sum((gradient[name] * direction[name]).sum() for name in weights)
    torch.testing.assert_close(slope, expected, rtol=1e-9, atol=1e-12)


def test_the_hessian_times_a_vector_agrees_with_differences(float64):
    """Forward mode over reverse mode, against the difference of two gradients."""
    torch.manual_seed(0)
    network = WideResNet(10, 1, classes=5).train()
    weights = {name: p.detach() for name, p in network.named_parameters()}
    direction = {name: torch.randn_like(p) for name, p in weights.items()}
    images, labels = torch.randn(3, 3, 8, 8), torch.arange(3)

    def slope(weights):
        return grad(lambda w: cross_entropy(functional_call(network, w, (images,)), labels))(
            weights
        )

    def at(distance):
        return slope({name: w + distance * direction[name] for name, w in weights.items()})

    step = 1e-6
    with frozen_statistics(network):
        _, product = jvp(slope, (weights,), (direction,))
        ahead, behind = at(step), at(-step)

    for name, ours in product.items():
        expected = (ahead[name] - behind[name]) / (2 * step)
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)
