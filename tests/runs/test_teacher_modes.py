"""A teacher only looks, whichever statistics it normalises with."""

import copy

import pytest
import torch

from kdbench.errors import BadValue
from kdbench.models.families.resnet import ResNet
from kdbench.runs.assemble import Teacher


@pytest.fixture
def network():
    """A small network with running statistics unlike those of any batch."""
    torch.manual_seed(0)
    net = ResNet(depth=8, classes=10, image=(3, 8, 8))
    with torch.no_grad():
        for _ in range(3):
            net(3 * torch.randn(16, 3, 8, 8) + 1)
    return net


@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_reading_in_either_mode_changes_nothing(network, mode):
    """No parameter and no statistic moves, and no graph is kept."""
    before = copy.deepcopy(network.state_dict())

    features = Teacher(network, mode).read(torch.randn(16, 3, 8, 8))

    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert not features.logits.requires_grad
    assert not any(p.requires_grad for p in network.parameters())


def test_eval_mode_sees_every_image_alone(network):
    """An image's features do not depend on its neighbours."""
    images = torch.randn(16, 3, 8, 8)
    teacher = Teacher(network, "eval")

    torch.testing.assert_close(teacher.read(images).logits[:4], teacher.read(images[:4]).logits)


def test_batch_mode_normalises_with_the_batch(network):
    """The norms work as in a network in training."""
    images = torch.randn(16, 3, 8, 8)
    twin = copy.deepcopy(network).train()

    logits = Teacher(network, "batch").read(images).logits

    assert torch.equal(logits, twin(images))
    assert not torch.allclose(logits, Teacher(network, "eval").read(images).logits)


def test_an_unknown_mode_is_refused(network):
    """One line names both modes that exist."""
    with pytest.raises(BadValue, match="teacher_bn: found 'train', expected 'eval' or 'batch'"):
        Teacher(network, "train")
