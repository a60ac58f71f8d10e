"""Gradients of a validation loss that sees the alphas: by hand, and against the optimiser."""

from functools import partial

import pytest
import torch
from torch import randn

from kdbench.search.darts import differenced, exact, first_order, total
from kdbench.search.hypergradient import Rates, virtual_step

RATES = {
    "plain": Rates(lr=0.3),
    "decay": Rates(lr=0.3, weight_decay=0.1),
    "momentum, decay": Rates(lr=0.3, momentum=0.9, weight_decay=5e-4),
    "nesterov, decay": Rates(lr=0.3, momentum=0.9, nesterov=True, weight_decay=5e-4),
}
DIFFERENCED = partial(differenced, scale=0.01)


class Toy:
    """Two smooth losses, neither linear in the alphas; the third weight is read by neither."""

    def __init__(self):
        self.mixing, self.goal = randn(3, 4), randn(4)
        self.weights = [t.requires_grad_() for t in (randn(4), randn(4), randn(2))]
        self.alphas = randn(3, requires_grad=True)
        self.buffers = [randn(4), None, randn(2)]

    def inner(self, weights, alphas):
        """Training loss."""
        pulled = (alphas.softmax(0) @ (self.mixing * weights[0]).tanh()) + weights[1]
        return pulled.square().sum() + alphas.sin().sum() * weights[0].sum()

    def outer(self, weights, alphas):
        """Validation loss, two parts of which read the alphas themselves."""
        return {
            "far": (weights[0] - self.goal).pow(4).sum(),
            "mixed": (alphas.exp() @ self.mixing) @ weights[1],
            "own": alphas.cos().sum(),
        }

    def after_a_real_step(self, alphas, rates):
        """Validation loss with given alphas, after a step of PyTorch's SGD with them."""
        weights = [w.detach().clone().requires_grad_() for w in self.weights]
        constants = {k: getattr(rates, k) for k in ("lr", "momentum", "nesterov", "weight_decay")}
        real = torch.optim.SGD(weights, **constants)
        for weight, buffer in zip(weights, self.buffers, strict=True):
            if rates.momentum and buffer is not None:
                real.state[weight]["momentum_buffer"] = buffer.clone()
        self.inner(weights, alphas).backward()
        real.step()
        return total(self.outer(weights, alphas)).item()

    def used(self, rates):
        """Momentum buffers, none without momentum."""
        return self.buffers if rates.momentum else [None] * 3


def numerical_gradient(value, alphas, step=1e-5):
    """Of a function of the alphas, by small steps."""
    shifts = step * torch.eye(len(alphas))
    return torch.tensor([(value(alphas + s) - value(alphas - s)) / (2 * step) for s in shifts])


@pytest.mark.parametrize("name", RATES)
def test_the_exact_gradient_is_the_numerical_one_through_a_real_optimiser_step(float64, name):
    """It goes through the step and directly, with weight decay and either momentum."""
    toy, rates = Toy(), RATES[name]
    parts = (toy.inner, toy.outer, toy.weights, toy.alphas, toy.used(rates), rates)
    gradient, loss, _ = exact(*parts)
    expected = numerical_gradient(
        lambda alphas: toy.after_a_real_step(alphas, rates), toy.alphas.detach()
    )

    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)
    assert loss.item() == pytest.approx(toy.after_a_real_step(toy.alphas.detach(), rates))
    assert not loss.requires_grad and not gradient.requires_grad


@pytest.mark.parametrize("name", RATES)
def test_the_finite_difference_is_the_exact_gradient_on_smooth_losses(float64, name):
    """It is to the square of the step that DARTS takes, and closer with a smaller one."""
    toy, rates = Toy(), RATES[name]
    parts = (toy.inner, toy.outer, toy.weights, toy.alphas, toy.used(rates), rates)
    expected, expected_loss, _ = exact(*parts)

    for scale, tolerance in ((0.01, 1e-3), (1e-4, 1e-6)):
        gradient, loss, _ = differenced(*parts, scale=scale)
        assert (gradient - expected).norm() < tolerance * expected.norm()
        torch.testing.assert_close(loss, expected_loss)


def test_the_first_order_is_the_numerical_gradient_at_the_weights_as_they_are(float64):
    """It is the direct dependence alone, all that a step of length 0 leaves of the second order."""
    toy = Toy()
    gradient, loss, _ = first_order(toy.outer, toy.weights, toy.alphas)
    weights = [w.detach() for w in toy.weights]
    expected = numerical_gradient(
        lambda alphas: total(toy.outer(weights, alphas)).item(), toy.alphas.detach()
    )
    still = (toy.inner, toy.outer, toy.weights, toy.alphas, [None] * 3, Rates(lr=0.0))

    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, exact(*still).gradient)
    torch.testing.assert_close(gradient, DIFFERENCED(*still).gradient)
    assert loss.item() == pytest.approx(total(toy.outer(weights, toy.alphas)).item())


@pytest.mark.parametrize("take", [exact, DIFFERENCED, None], ids=["exact", "differenced", "first"])
def test_each_part_s_own_gradient_is_the_numerical_one_at_the_moved_weights(float64, take):
    """It leaves out what the weights owe to the alphas; a part that reads no alphas has none."""
    toy, rates = Toy(), RATES["momentum, decay"]
    if take is None:
        found, weights = first_order(toy.outer, toy.weights, toy.alphas), toy.weights
    else:
        found = take(toy.inner, toy.outer, toy.weights, toy.alphas, toy.buffers, rates)
        slopes = torch.autograd.grad(
            toy.inner(toy.weights, toy.alphas), toy.weights, allow_unused=True
        )
        weights = virtual_step(toy.weights, slopes, toy.buffers, rates)
    weights = [weight.detach() for weight in weights]

    assert found.direct.keys() == {"far", "mixed", "own"}
    assert not found.direct["far"].any()
    for name, slope in found.direct.items():
        expected = numerical_gradient(
            lambda alphas, name=name: toy.outer(weights, alphas)[name].item(), toy.alphas.detach()
        )
        torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("take", [exact, DIFFERENCED], ids=["exact", "differenced"])
def test_a_validation_loss_need_not_see_the_alphas(float64, take):
    """The gradient is right where only the weights carry the alphas, as in DARTS itself."""
    toy, rates = Toy(), RATES["plain"]

    def outer(weights, alphas):
        return {"far": (weights[0] - toy.goal).square().sum()}

    def after(alphas):
        weights = [w.detach().requires_grad_() for w in toy.weights]
        (pull,) = torch.autograd.grad(toy.inner(weights, alphas), weights[:1])
        return outer([weights[0] - rates.lr * pull], alphas)["far"].item()

    gradient = take(toy.inner, outer, toy.weights, toy.alphas, [None] * 3, rates).gradient
    expected = numerical_gradient(after, toy.alphas.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("take", [exact, DIFFERENCED, None], ids=["exact", "differenced", "first"])
def test_taking_a_gradient_changes_nothing(float64, take):
    """Weights, buffers, alphas and what somebody left in `.grad` keep their bits."""
    toy, rates = Toy(), RATES["nesterov, decay"]
    leaves = [*toy.weights, toy.alphas]
    for leaf in leaves:
        leaf.grad = torch.ones_like(leaf)
    watched = [*leaves, toy.buffers[0], *(leaf.grad for leaf in leaves)]
    before = [t.detach().clone() for t in watched]
    if take is None:
        first_order(toy.outer, toy.weights, toy.alphas)
    else:
        take(toy.inner, toy.outer, toy.weights, toy.alphas, toy.buffers, rates)

    assert all(torch.equal(a, b) for a, b in zip(before, watched, strict=True))
