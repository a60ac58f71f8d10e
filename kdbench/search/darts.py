"""How DARTS takes the gradient of a held-out loss that depends on the alphas itself.

The held-out loss is outer(w'(a), a), where w'(a) are the weights after one virtual training step
with the alphas a:

    d outer / d a = ∂_a outer(w', a) - ξ f · ∂²inner / (∂a ∂w) · v,   v = ∂_w' outer(w', a)

with f as in `kdbench.search.hypergradient`. The first order leaves the step out (ξ = 0). Unlike
`bilevel`, nothing here asks the training loss to be linear in what the alphas are mixed into.
No function changes a weight, a buffer or a `.grad`.

Source: Liu et al. (DARTS), ICLR 2019, section 2.3, equations 5 to 8.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from kdbench.search.hypergradient import (
    Directions,
    Rates,
    central_difference,
    unrolled,
    virtual_step,
)
from kdbench.search.searcher import Tensors

Loss: TypeAlias = Callable[[Tensors, Tensor], Tensor]  # of (weights, alphas), a scalar
Found: TypeAlias = tuple[Tensor, Tensor]  # gradient (n,) and held-out loss, without graphs


def first_order(outer: Loss, weights: Tensors, alphas: Tensor) -> Found:
    """Gradient in the alphas at the weights as they are.

    Args:
        outer: held-out loss.
        weights: of the training.
        alphas: (n,) leaf that requires a gradient.
    """
    held = outer([weight.detach() for weight in weights], alphas)
    (gradient,) = torch.autograd.grad(held, [alphas], materialize_grads=True)
    return gradient, held.detach()


def differenced(
    inner: Loss,
    outer: Loss,
    weights: Tensors,
    alphas: Tensor,
    buffers: Directions,
    rates: Rates,
    scale: float = 0.01,
) -> Found:
    """Gradient after the virtual step; its mixed derivative from two gradients in the alphas.

    Args:
        inner: training loss.
        outer: held-out loss.
        weights: leaves that require a gradient; one that `inner` does not read stays.
        alphas: (n,) leaf that requires a gradient.
        buffers: see `virtual_step`.
        rates: see `virtual_step`.
        scale: distance of the two points from the weights, see `central_difference`.

    Source: DARTS, equations 7 and 8, with momentum, Nesterov momentum and weight decay.
    """
    loss = inner(weights, alphas.detach())
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        moved = virtual_step(weights, slopes, buffers, rates)
    moved = [weight.detach().requires_grad_() for weight in moved]
    held = outer(moved, alphas)
    direct, *along = torch.autograd.grad(held, [alphas, *moved], allow_unused=True)
    # A weight that the training loss does not read is not moved by the alphas.
    along = [a if s is not None else None for a, s in zip(along, slopes, strict=True)]

    def in_alphas(values: Tensors) -> Tensor:
        with torch.enable_grad():
            return first_order(inner, values, alphas)[0]

    rise = central_difference(in_alphas, weights, along, scale)
    direct = torch.zeros_like(alphas) if direct is None else direct
    return direct - rates.reach * rise, held.detach()


def exact(
    inner: Loss, outer: Loss, weights: Tensors, alphas: Tensor, buffers: Directions, rates: Rates
) -> Found:
    """What `differenced` approximates, differentiated through the step; arguments as there."""
    seen: list[Tensor] = []

    def held(moved: Tensors) -> Tensor:
        seen.append(outer(moved, alphas))
        return seen[0]

    gradient = unrolled(inner, held, weights, alphas, buffers, rates)
    return gradient, seen[0].detach()
