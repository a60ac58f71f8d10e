"""When steps alternate: one move of the alphas, then one of the weights.

One step, in the order of the paper:

1. a virtual training step with the current alphas;
2. the gradient of the validation loss after it, in the alphas;
3. a step of the alphas' optimiser;
4. the real training step with the new alphas. The training loss is linear in the loss weights that
   the alphas are mixed into, so this step uses the forward pass of the virtual one: only the
   gradient differs.

Source: Deng et al., DistPro, ECCV 2022, section 3.3 (Algorithm 1).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from kdbench.engine import ranks
from kdbench.search.hypergradient import Rates, through_mix, virtual_step
from kdbench.search.problem import JVP, BilevelProblem, Data, Directions, T, Tensors


class StepResult(NamedTuple):
    """What one step of a search saw; tensors without a graph, on the device.

    Attributes:
        task: training loss of the task, scalar.
        losses: (n,) losses before weighting.
        validation_loss: after the virtual step, scalar; None where none was taken.
        loss_weights: (n,) with which the real step was taken.
        alphas: (n,) alphas behind them, a copy.
    """

    task: Tensor
    losses: Tensor
    validation_loss: Tensor | None
    loss_weights: Tensor
    alphas: Tensor


def rates_of(optimiser: SGD) -> Rates:
    """The constants that an SGD optimiser of one parameter group will take its next step with."""
    (group,) = optimiser.param_groups
    keys = ("lr", "momentum", "nesterov", "weight_decay")
    return Rates(**{key: group[key] for key in keys})


def buffers_of(optimiser: SGD, weights: Tensors) -> list[Tensor | None]:
    """The momentum buffers of the weights; None where no step was taken yet."""
    return [optimiser.state.get(weight, {}).get("momentum_buffer") for weight in weights]


def second_order(
    problem: BilevelProblem[Data, T],
    terms: T,
    optimiser: SGD,
    train: Data,
    validation: Data,
    jvp: JVP,
    *,
    scale_free: bool = False,
) -> tuple[Tensor, Tensor]:
    """Gradient in the alphas of the validation loss after the virtual step.

    Changes nothing: no weight, no buffer, no `.grad`, no momentum.

    Args:
        problem: see `BilevelProblem`.
        terms: what `problem.terms(train)` returned.
        optimiser: of `problem.weights`.
        train: data of the virtual step.
        validation: data of the validation loss.
        jvp: `exact_jvp`, or `central_difference` at some scale.
        scale_free: divide the gradient by how far a step moves a weight, `Rates.step_scale`. Its
            direction stays, but its size no longer falls with the learning rate, which an Adam
            with a long memory takes for a sign to stop.

    Returns:
        The gradient (n,) and the validation loss, without graphs.
    """
    rates = rates_of(optimiser)
    weights, hidden = problem.weights[: problem.visible], problem.weights[problem.visible :]
    loss_weights = problem.mix(problem.alphas)
    gradients = ranks.average(terms.gradients(loss_weights.detach())[: problem.visible])
    with torch.no_grad():
        moved = virtual_step(weights, gradients, buffers_of(optimiser, weights), rates)
    moved = [weight.requires_grad_() for weight in moved]
    loss = problem.outer([*moved, *hidden], validation)
    along = ranks.average(torch.autograd.grad(loss, moved, allow_unused=True))
    derivatives = problem.directional_derivatives(terms, along, train, jvp)
    scale = 1.0 if scale_free else rates.step_scale
    gradient = through_mix(loss_weights, problem.alphas, -scale * derivatives)
    return gradient, loss.detach()


def first_order(problem: BilevelProblem[Data, T], losses: Tensor) -> Tensor:
    """Gradient in the alphas of the training loss itself, at the current weights.

    The validation loss does not depend on the alphas directly, so a first-order gradient in the
    sense of DARTS (ξ = 0) is 0. What remains to descend is the training loss, which is how we read
    the paper's remark that a first-order gradient drives all values to 0: the gradient in a loss
    weight is its loss, which is positive. A normalisation that ties the loss weights together, as
    the biased softmax does, first lets pathways rise whose loss is below the weighted sum of all;
    one of them can hold most of the weight for long before the constant, whose loss is 0, takes it
    over.

    Args:
        problem: see `BilevelProblem`.
        losses: (n,) from `problem.terms`.
    """
    return through_mix(problem.mix(problem.alphas), problem.alphas, losses.detach())


def move(optimiser: Optimizer, weights: Tensors, gradients: Directions) -> None:
    """One step of an optimiser with the mean over ranks of gradients; leaves no `.grad` behind."""
    for weight, gradient in zip(weights, ranks.average(gradients), strict=True):
        weight.grad = gradient
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def alternate(
    problem: BilevelProblem[Data, T],
    optimiser: SGD,
    outer_optimiser: Optimizer,
    train: Data,
    validation: Data,
    jvp: JVP | None,
    *,
    scale_free: bool = False,
) -> StepResult:
    """One step of the search: the alphas first, then the weights with the new alphas.

    Args:
        problem: see `BilevelProblem`.
        optimiser: of `problem.weights`, one parameter group; set its `lr` beforehand.
        outer_optimiser: of `problem.alphas`.
        train: data of the training loss.
        validation: data of the validation loss, which training never sees.
        jvp: see `second_order`; None for `first_order`.
        scale_free: see `second_order`; `first_order` has no such scale.
    """
    terms = problem.terms(train)
    loss = None
    if jvp is None:
        gradient = first_order(problem, terms.losses)
    else:
        gradient, loss = second_order(
            problem, terms, optimiser, train, validation, jvp, scale_free=scale_free
        )
    move(outer_optimiser, [problem.alphas], [gradient])
    loss_weights = problem.mix(problem.alphas).detach()
    move(optimiser, problem.weights, terms.gradients(loss_weights))
    alphas = problem.alphas.detach().clone()
    return StepResult(terms.task.detach(), terms.losses.detach(), loss, loss_weights, alphas)
