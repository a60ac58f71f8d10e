"""A teacher only looks: whatever its mode, nothing of it changes."""

import pytest
import torch

from kdbench.errors import BadValue
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.runs.assemble import Teacher


@pytest.fixture
def network():
    """A network whose statistics are not those of the batches below."""
    torch.manual_seed(0)
    network = WideResNet(10, 1, classes=5, image=(3, 8, 8)).train()
    with torch.no_grad():
        for _ in range(3):
            network(3 + 2 * torch.randn(8, 3, 8, 8))
    return network


@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_reading_a_teacher_moves_no_weight_and_no_statistic(network, mode):
    """Running means, variances and counts of batches stay as trained, to the bit."""
    teacher = Teacher(network, mode)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(3):
        seen = teacher.read(torch.randn(8, 3, 8, 8))

    assert any("running_mean" in name for name in before)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not seen.logits.requires_grad
    assert not any(maps.requires_grad for maps in seen.pre)


def test_the_two_modes_use_other_statistics(network):
    """Mode "eval" uses the running ones; in mode "batch" an image's neighbours matter."""
    images = torch.randn(8, 3, 8, 8)
    by_running = network.eval()(images).detach()
    by_batch = network.train()(images).detach()
    eval_mode = Teacher(network, "eval").read(images).logits
    eval_half = Teacher(network, "eval").read(images[:4]).logits
    batch_mode = Teacher(network, "batch").read(images).logits
    batch_half = Teacher(network, "batch").read(images[:4]).logits

    torch.testing.assert_close(batch_mode, by_batch)
    torch.testing.assert_close(eval_half, eval_mode[:4])
    assert not torch.allclose(batch_half, batch_mode[:4], atol=1e-2)
    assert not torch.allclose(by_running, by_batch, atol=1e-2)


def test_a_teacher_in_eval_mode_is_the_network_of_its_checkpoint(network):
    """The logits are those of the network as it was trained."""
    images = torch.randn(8, 3, 8, 8)
    expected = network.eval()(images).detach()

    torch.testing.assert_close(Teacher(network, "eval").read(images).logits, expected)


def test_an_unknown_mode_is_refused_with_its_key(network):
    """One line names the key."""
    with pytest.raises(BadValue, match="teacher_bn: found 'train', expected 'eval' or 'batch'"):
        Teacher(network, "train")
