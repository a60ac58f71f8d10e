"""How DARTS takes the gradient of a validation loss that depends on the alphas itself.

The validation loss is outer(w'(a), a), where w'(a) are the weights after one virtual training step
with the alphas a:

    d outer / d a = ∂_a outer(w', a) - ξ f · ∂²inner / (∂a ∂w) · v,   v = ∂_w' outer(w', a)

with f as in `kdbench.search.hypergradient`. The first order leaves the step out (ξ = 0). Unlike
`bilevel`, nothing here asks the training loss to be linear in what the alphas are mixed into.
No function changes a weight, a buffer or a `.grad`.

Source: Liu et al. (DARTS), ICLR 2019, section 2.3, equations 5 to 8.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from kdbench.search.hypergradient import Rates, central_difference, unrolled, virtual_step
from kdbench.search.problem import Directions, Tensors

Loss: TypeAlias = Callable[[Tensors, Tensor], Tensor]  # of (weights, alphas), a scalar


class MetaGradient(NamedTuple):
    """Gradient (n,) in the alphas, and the validation loss; both without graphs."""

    gradient: Tensor
    loss: Tensor


def first_order(outer: Loss, weights: Tensors, alphas: Tensor) -> MetaGradient:
    """Gradient in the alphas at the weights as they are.

    Args:
        outer: validation loss.
        weights: of the training.
        alphas: (n,) leaf that requires a gradient.
    """
    loss = outer([weight.detach() for weight in weights], alphas)
    (gradient,) = torch.autograd.grad(loss, [alphas], materialize_grads=True)
    return MetaGradient(gradient, loss.detach())


def differenced(
    inner: Loss,
    outer: Loss,
    weights: Tensors,
    alphas: Tensor,
    buffers: Directions,
    rates: Rates,
    *,
    scale: float,
) -> MetaGradient:
    """Gradient after the virtual step; its mixed derivative from two gradients in the alphas.

    Args:
        inner: training loss.
        outer: validation loss.
        weights: leaves that require a gradient; one that `inner` does not read stays.
        alphas: (n,) leaf that requires a gradient.
        buffers: see `virtual_step`.
        rates: see `virtual_step`.
        scale: distance of the two points from the weights, see `central_difference`.

    Source: DARTS, equations 7 and 8, with momentum, Nesterov momentum and weight decay.
    """
    loss = inner(weights, alphas.detach())
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        moved = virtual_step(weights, gradients, buffers, rates)
    moved = [weight.detach().requires_grad_() for weight in moved]
    validation = outer(moved, alphas)
    direct, *along = torch.autograd.grad(validation, [alphas, *moved], allow_unused=True)
    # A weight that the training loss does not read is not moved by the alphas.
    along = [a if g is not None else None for a, g in zip(along, gradients, strict=True)]

    def in_alphas(values: Tensors) -> Tensor:
        with torch.enable_grad():
            return first_order(inner, values, alphas).gradient

    mixed = central_difference(in_alphas, weights, along, scale=scale)
    direct = torch.zeros_like(alphas) if direct is None else direct
    return MetaGradient(direct - rates.step_scale * mixed, validation.detach())


def exact(
    inner: Loss, outer: Loss, weights: Tensors, alphas: Tensor, buffers: Directions, rates: Rates
) -> MetaGradient:
    """What `differenced` approximates, differentiated through the step; arguments as there."""
    losses: list[Tensor] = []

    def noted(moved: Tensors) -> Tensor:
        losses.append(outer(moved, alphas))
        return losses[0]

    gradient = unrolled(inner, noted, weights, alphas, buffers, rates)
    return MetaGradient(gradient, losses[0].detach())
