"""When steps alternate: one move of the alphas, then one of the weights.

One step, in the order of the paper:

1. a virtual training step with the current alphas;
2. the gradient of the held-out loss after it, in the alphas;
3. a step of the alphas' optimiser;
4. the real training step with the new alphas. The training loss is linear in the mixed weights, so
   this step uses the forward pass of the virtual one: only the gradient differs.

Source: Deng et al., DistPro, ECCV 2022, section 3.3 (Algorithm 1).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from kdbench.search.hypergradient import Probe, Rates, through_mix, virtual_step
from kdbench.search.searcher import Data, Searcher, Slopes, Tensors, Terms


class Outcome(NamedTuple):
    """What one step of a search saw; tensors without a graph, on the device.

    Attributes:
        task: training loss of the task, scalar.
        losses: (n,) losses before mixing.
        held_out: held-out loss after the virtual step, scalar; None where none was taken.
        mixed: (n,) factors with which the real step was taken.
        alphas: (n,) alphas behind them, a copy.
    """

    task: Tensor
    losses: Tensor
    held_out: Tensor | None
    mixed: Tensor
    alphas: Tensor


def rates_of(optimiser: SGD) -> Rates:
    """The constants that an SGD optimiser of one parameter group will take its next step with."""
    (group,) = optimiser.param_groups
    keys = ("lr", "momentum", "nesterov", "weight_decay")
    return Rates(**{key: group[key] for key in keys})


def buffers_of(optimiser: SGD, weights: Tensors) -> list[Tensor | None]:
    """The momentum buffers of the weights; None where no step was taken yet."""
    return [optimiser.state.get(weight, {}).get("momentum_buffer") for weight in weights]


def exact_or_difference(
    searcher: Searcher[Data],
    terms: Terms,
    optimiser: SGD,
    train: Data,
    held: Data,
    probe: Probe,
) -> tuple[Tensor, Tensor]:
    """Gradient in the alphas of the held-out loss after the virtual step.

    Changes nothing: no weight, no buffer, no `.grad`, no momentum.

    Args:
        searcher: see `Searcher`.
        terms: what `searcher.terms(train)` gave.
        optimiser: of `searcher.weights`.
        train: data of the virtual step.
        held: data of the held-out loss.
        probe: `directional` (exact) or `central_difference`.

    Returns:
        The gradient (n,) and the held-out loss, without graphs.
    """
    rates = rates_of(optimiser)
    weights, hidden = searcher.weights[: searcher.visible], searcher.weights[searcher.visible :]
    mixed = searcher.mix(searcher.alphas)
    slopes = terms.slopes(mixed.detach())[: searcher.visible]
    with torch.no_grad():
        moved = virtual_step(weights, slopes, buffers_of(optimiser, weights), rates)
    moved = [weight.requires_grad_() for weight in moved]
    held_out = searcher.outer([*moved, *hidden], held)
    along = torch.autograd.grad(held_out, moved, allow_unused=True)
    rise = searcher.rises(terms, along, train, probe)
    gradient = through_mix(mixed, searcher.alphas, -rates.reach * rise)
    return gradient, held_out.detach()


def first_order(searcher: Searcher[Data], losses: Tensor) -> Tensor:
    """Gradient in the alphas of the training loss itself, at the current weights.

    The held-out loss has no direct dependence on the alphas, so a first-order gradient in the sense
    of DARTS (ξ = 0) is 0. What is left to descend is the training loss, which is how we read the
    paper's remark that a first-order gradient drives all values to 0: the slope in a weight is its
    loss, which is positive. A normalisation that ties the weights together, as the biased softmax
    does, first lets pathways rise whose loss is below the weighted sum of all; one of them can hold
    most of the weight for long before the constant, whose loss is 0, takes it over.

    Args:
        searcher: see `Searcher`.
        losses: (n,) from `searcher.terms`.
    """
    return through_mix(searcher.mix(searcher.alphas), searcher.alphas, losses.detach())


def move(optimiser: Optimizer, weights: Tensors, slopes: Slopes) -> None:
    """One step of an optimiser with given gradients; leaves no `.grad` behind."""
    for weight, slope in zip(weights, slopes, strict=True):
        weight.grad = slope
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def alternate(
    searcher: Searcher[Data],
    optimiser: SGD,
    outer_optimiser: Optimizer,
    train: Data,
    held: Data,
    probe: Probe | None,
) -> Outcome:
    """One step of the search: the alphas first, then the weights with the new alphas.

    Args:
        searcher: see `Searcher`.
        optimiser: of `searcher.weights`, one parameter group; set its `lr` beforehand.
        outer_optimiser: of `searcher.alphas`.
        train: data of the training loss.
        held: data of the held-out loss, which training never sees.
        probe: see `exact_or_difference`; None for `first_order`.
    """
    terms = searcher.terms(train)
    held_out = None
    if probe is None:
        gradient = first_order(searcher, terms.losses)
    else:
        parts = (searcher, terms, optimiser, train, held, probe)
        gradient, held_out = exact_or_difference(*parts)
    move(outer_optimiser, [searcher.alphas], [gradient])
    mixed = searcher.mix(searcher.alphas).detach()
    move(optimiser, searcher.weights, terms.slopes(mixed))
    alphas = searcher.alphas.detach().clone()
    return Outcome(terms.task.detach(), terms.losses.detach(), held_out, mixed, alphas)
