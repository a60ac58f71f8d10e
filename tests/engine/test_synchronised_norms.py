"""Batch norms over ranks against the norm of the whole batch, in float64."""

import pytest
import torch
from on_ranks import on_ranks
from torch import nn
from torch.func import functional_call

from kdbench.engine import ranks
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.search.hypergradient import forward_mode

SHAPE = (8, 3, 4, 5)


def network():
    """Two norms, of maps and of vectors, with something between them that is not linear."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)
    return nn.Sequential(*layers, nn.BatchNorm1d(5), nn.Softplus())


def part(tensor):
    """This rank's images."""
    return tensor.chunk(ranks.size())[ranks.at_work().rank]


def derivatives():
    """Loss, gradient, gradient of its square, change along a direction, and what norms remember."""
    net = network()
    weights = dict(net.named_parameters())
    torch.manual_seed(1)
    # A mean far from 0 shows differences of large numbers.
    images = part(torch.randn(SHAPE) * torch.arange(1, 9).view(8, 1, 1, 1) + 100)
    along = [torch.randn_like(weight) for weight in weights.values()]
    with SynchronisedNorms():
        loss = net(images).pow(3).mean()
        first = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        # The mean over ranks of gradients is the gradient of the mean loss.
        whole = [ranks.mean(gradient) for gradient in first]
        second = torch.autograd.grad(sum(g.square().sum() for g in whole), list(weights.values()))
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.track_running_stats = False

        def call(values):
            named = dict(zip(weights, values, strict=True))
            return (functional_call(net, named, (images,)).pow(3).mean(),)

        (change,) = forward_mode(call, list(weights.values()), along)
    shared = [loss, change, *whole, *second]
    return [x.detach() for x in ranks.average(shared)], [x.clone() for x in net.buffers()]


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_norms_over_ranks_have_every_derivative_of_the_whole_batch(float64, size):
    """First, second and forward-mode derivatives and running statistics agree to rounding."""
    ((expected, remembered),) = on_ranks(1, derivatives)
    for values, buffers in on_ranks(size, derivatives):
        torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(buffers, remembered, rtol=1e-12, atol=0)


def plain():
    """The loss where every rank's norm sees its own images."""
    torch.manual_seed(1)
    return ranks.mean(network()(part(torch.randn(SHAPE))).pow(3).mean().detach()).item()


def test_norms_that_are_not_synchronised_give_another_loss(float64):
    """So the agreement above is the work of the synchronised norms."""
    (expected,) = on_ranks(1, plain)
    first, second = on_ranks(2, plain)
    assert first == second
    assert first != pytest.approx(expected, rel=1e-3)


def evaluated():
    """What norms in evaluation mode give, and how often ranks spoke."""
    net = network().eval()
    with SynchronisedNorms():
        shown = net(torch.ones(SHAPE))
    return shown, ranks.at_work().calls


def test_norms_in_evaluation_mode_ask_no_other_rank():
    """They read running statistics, so nothing is exchanged and no bit differs."""
    expected = network().eval()(torch.ones(SHAPE))
    for shown, calls in on_ranks(2, evaluated):
        assert calls == 0
        assert torch.equal(shown, expected)
