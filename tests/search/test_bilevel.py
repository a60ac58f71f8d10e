"""The alternation, on problems small enough to know the answer."""

from functools import partial

import pytest
import torch
from torch import randn

from kdbench.search.bilevel import alternate, buffers_of, rates_of, second_order
from kdbench.search.hypergradient import Rates, central_difference, exact_jvp, unrolled
from kdbench.search.normalise import biased_softmax

DIFFERENCE = partial(central_difference, scale=0.01)
EACH_JVP = pytest.mark.parametrize("jvp", [exact_jvp, DIFFERENCE], ids=["exact", "difference"])


class PullTerms:
    """Task and losses with their graph (`Terms`)."""

    def __init__(self, task, losses, weights):
        self.task, self.losses, self._weights = task, losses, weights

    def gradients(self, loss_weights):
        """Through the graph, which stays."""
        total = self.task + loss_weights @ self.losses
        return torch.autograd.grad(total, self._weights, retain_graph=True)


class Pulls:
    """A point pulled to several places, each as strongly as its alpha says (a `BilevelProblem`).

    The task pulls to the origin; the validation loss wants the point at `goal`.
    """

    def __init__(self, places, goal, mix=torch.exp):
        self.places, self.goal, self.mix = places, goal, mix
        self.alphas = torch.zeros(len(places), requires_grad=True)
        self.weights = [torch.zeros(places.shape[1], requires_grad=True)]
        self.visible = 1

    def terms(self, data):
        """Half the squared distances."""
        task = self.weights[0].square().sum() / 2
        return PullTerms(task, self.losses(self.weights, data), self.weights)

    def directional_derivatives(self, terms, along, data, jvp):
        """As the `jvp` takes them."""
        return jvp(lambda values: self.losses(values, data), self.weights, along)

    def losses(self, weights, data):
        """Half the squared distance to every place."""
        return (weights[0] - self.places).square().sum(1) / 2

    def inner(self, weights, alphas, data):
        """All pulls together."""
        task = weights[0].square().sum() / 2
        return task + self.mix(alphas) @ self.losses(weights, data)

    def outer(self, weights, data):
        """Half the squared distance to the goal."""
        return (weights[0] - self.goal).square().sum() / 2


def optimisers(toy, lr=0.1, alpha_lr=0.05, **rates):
    """SGD for the point, Adam for the alphas."""
    adam = torch.optim.Adam([toy.alphas], lr=alpha_lr, betas=(0.5, 0.999))
    return torch.optim.SGD(toy.weights, lr=lr, **rates), adam


@EACH_JVP
def test_the_search_finds_the_pulls_that_lead_to_the_goal(float64, jvp):
    """Between a place in the east and one in the north, point and alphas reach the known rest."""
    toy = Pulls(torch.eye(2), torch.tensor([0.5, 0.25]))
    inner, outer = optimisers(toy, alpha_lr=0.03)
    for _ in range(600):
        alternate(toy, inner, outer, None, None, jvp)
    # Rest of a point pulled by (1, u, v): (u, v) / (1 + u + v); at the goal u = 2 and v = 1.
    torch.testing.assert_close(toy.weights[0].detach(), toy.goal, atol=1e-2, rtol=0)
    torch.testing.assert_close(
        toy.alphas.exp().detach(), torch.tensor([2.0, 1.0]), rtol=0.05, atol=0
    )


def test_a_useless_pull_loses_its_weight(float64):
    """After 100 steps a place opposite to the goal has under a fifth of the other's weight."""
    toy = Pulls(torch.tensor([[1.0, 0], [-1, 0]]), torch.tensor([0.4, 0.0]), biased_softmax)
    inner, outer = optimisers(toy)
    for _ in range(100):
        result = alternate(toy, inner, outer, None, None, exact_jvp)
    assert result.loss_weights[0] > 5 * result.loss_weights[1]


@pytest.mark.parametrize("mix", [torch.sigmoid, biased_softmax])
def test_a_first_order_gradient_drives_all_weights_to_zero(float64, mix):
    """The paper's remark: descending the training loss empties pathways of like losses."""
    toy = Pulls(torch.cat([torch.eye(2), -torch.eye(2)]), torch.zeros(2), mix)
    inner, outer = optimisers(toy, alpha_lr=0.1)
    for _ in range(200):
        result = alternate(toy, inner, outer, None, None, None)
    assert result.loss_weights.sum() < 0.03  # from 2 and 0.6
    assert result.validation_loss is None


def test_under_the_biased_softmax_the_easiest_pathway_rises_first(float64):
    """A first-order gradient moves weight to the smallest loss before it takes it away."""
    toy = Pulls(torch.tensor([[0.5, 0], [4, 0], [5, 0]]), torch.zeros(2), biased_softmax)
    inner, outer = optimisers(toy)
    for _ in range(20):
        result = alternate(toy, inner, outer, None, None, None)
    assert result.alphas[0] > 0 > result.alphas[1:].max()  # all start at 0


@EACH_JVP
@pytest.mark.parametrize("nesterov", [True, False])
def test_the_gradient_is_that_of_the_unrolled_step(float64, jvp, nesterov):
    """It is with a full momentum buffer, weight decay and either kind of momentum."""
    toy = Pulls(randn(3, 4), randn(4), biased_softmax)
    inner, outer = optimisers(toy, momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    for _ in range(3):
        alternate(toy, inner, outer, None, None, jvp)
    gradient, loss = second_order(toy, toy.terms(None), inner, None, None, jvp)
    expected = unrolled(
        lambda weights, alphas: toy.inner(weights, alphas, None),
        lambda weights: toy.outer(weights, None),
        toy.weights,
        toy.alphas,
        buffers_of(inner, toy.weights),
        rates_of(inner),
    )
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)
    assert loss.item() > 0


@EACH_JVP
@pytest.mark.parametrize(("nesterov", "factor"), [(True, 1.9), (False, 1.0)])
def test_a_scale_free_gradient_is_the_same_without_the_step_s_size(float64, jvp, nesterov, factor):
    """It is the gradient over the learning rate, and over 1 + mu for Nesterov momentum."""
    toy = Pulls(randn(3, 4), randn(4), biased_softmax)
    inner, outer = optimisers(toy, lr=0.02, momentum=0.9, nesterov=nesterov)
    for _ in range(3):
        alternate(toy, inner, outer, None, None, jvp)
    given = (toy, toy.terms(None), inner, None, None, jvp)
    whole, free = (second_order(*given, scale_free=free)[0] for free in (False, True))
    assert whole.abs().min() > 1e-6
    torch.testing.assert_close(free, whole / (0.02 * factor))


def test_one_step_goes_in_the_order_of_the_paper(float64):
    """The alphas move first, at the old weights; then the weights, with the new alphas."""
    toy = Pulls(randn(3, 4), randn(4), biased_softmax)
    inner, outer = optimisers(toy, momentum=0.9, nesterov=True)
    alphas, weight = toy.alphas.detach().clone(), toy.weights[0].detach().clone()
    gradient, _ = second_order(toy, toy.terms(None), inner, None, None, exact_jvp)

    result = alternate(toy, inner, outer, None, None, exact_jvp)

    step = 0.05 * gradient / (gradient.abs() + 1e-8)  # the first step of Adam
    torch.testing.assert_close(toy.alphas.detach(), alphas - step)
    loss_weights = biased_softmax(toy.alphas.detach())
    assert torch.equal(result.loss_weights, loss_weights)
    assert torch.equal(result.alphas, toy.alphas.detach())
    in_weight = weight + loss_weights @ (weight - toy.places)
    torch.testing.assert_close(toy.weights[0].detach(), weight - 0.1 * 1.9 * in_weight)
    assert toy.alphas.grad is None and toy.weights[0].grad is None
    before = result.alphas.clone()
    alternate(toy, inner, outer, None, None, exact_jvp)
    assert torch.equal(result.alphas, before)  # a copy: later steps do not rewrite it


def test_rates_are_those_of_the_optimiser_now():
    """They follow its learning rate, which a schedule changes from step to step."""
    toy = Pulls(randn(3, 4), randn(4))
    inner, _ = optimisers(toy, momentum=0.9, nesterov=True, weight_decay=5e-4)
    inner.param_groups[0]["lr"] = 0.01
    assert rates_of(inner) == Rates(lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
