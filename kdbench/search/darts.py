"""How DARTS takes the gradient of a validation loss that depends on the alphas itself.

The validation loss is outer(w'(a), a), where w'(a) are the weights after one virtual training step
with the alphas a:

    d outer / d a = ∂_a outer(w', a) - ξ f · ∂²inner / (∂a ∂w) · v,   v = ∂_w' outer(w', a)

with f as in `kdbench.search.hypergradient`. The first order leaves the step out (ξ = 0). Unlike
`bilevel`, nothing here asks the training loss to be linear in what the alphas are mixed into.
The validation loss is given as named parts, whose sum it is, so that a search can say which of them
moves its alphas. No function changes a weight, a buffer or a `.grad`.

Source: Liu et al. (DARTS), ICLR 2019, section 2.3, equations 5 to 8.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from kdbench.engine import ranks
from kdbench.search.hypergradient import Rates, central_difference, unrolled, virtual_step
from kdbench.search.problem import Directions, Tensors

Loss: TypeAlias = Callable[[Tensors, Tensor], Tensor]  # of (weights, alphas), a scalar
Parts: TypeAlias = Callable[[Tensors, Tensor], Mapping[str, Tensor]]  # scalars, by name


class MetaGradient(NamedTuple):
    """What a validation loss says of the alphas; nothing has a graph.

    Attributes:
        gradient: (n,) of the whole loss.
        loss: the sum of the parts.
        direct: (n,) by part, ∂_a of that part alone: what is left of its gradient where the weights
            do not move with the alphas.
    """

    gradient: Tensor
    loss: Tensor
    direct: dict[str, Tensor]


def first_order(outer: Parts, weights: Tensors, alphas: Tensor) -> MetaGradient:
    """Gradient in the alphas at the weights as they are.

    Args:
        outer: validation loss.
        weights: of the training.
        alphas: (n,) leaf that requires a gradient.
    """
    parts = outer([weight.detach() for weight in weights], alphas)
    direct = _direct(parts, alphas)
    return MetaGradient(total(direct), total(parts).detach(), direct)


def differenced(
    inner: Loss,
    outer: Parts,
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
    gradients = ranks.average(torch.autograd.grad(loss, weights, allow_unused=True))
    with torch.no_grad():
        moved = virtual_step(weights, gradients, buffers, rates)
    moved = [weight.detach().requires_grad_() for weight in moved]
    parts = outer(moved, alphas)
    direct, validation = _direct(parts, alphas), total(parts)
    slopes = ranks.average(torch.autograd.grad(validation, moved, allow_unused=True))
    # A weight that the training loss does not read is not moved by the alphas.
    along = [a if g is not None else None for a, g in zip(slopes, gradients, strict=True)]

    def in_alphas(values: Tensors) -> Tensor:
        with torch.enable_grad():
            trained = inner([value.detach() for value in values], alphas)
            (gradient,) = torch.autograd.grad(trained, [alphas], materialize_grads=True)
            return gradient

    mixed = central_difference(in_alphas, weights, along, scale=scale)
    return MetaGradient(total(direct) - rates.step_scale * mixed, validation.detach(), direct)


def exact(
    inner: Loss, outer: Parts, weights: Tensors, alphas: Tensor, buffers: Directions, rates: Rates
) -> MetaGradient:
    """What `differenced` approximates, differentiated through the step; arguments as there."""
    seen: list[tuple[Tensor, dict[str, Tensor]]] = []

    def noted(moved: Tensors) -> Tensor:
        own = alphas.clone()  # behind it, what the moved weights owe to the alphas is not counted
        parts = outer(moved, own)
        validation = total(parts)
        seen.append((validation.detach(), _direct(parts, own)))
        return validation

    gradient = unrolled(inner, noted, weights, alphas, buffers, rates)
    return MetaGradient(gradient, *seen[0])


def total(parts: Mapping[str, Tensor]) -> Tensor:
    """Sum of all parts, in their order."""
    return torch.stack(list(parts.values())).sum(0)


def _direct(parts: Mapping[str, Tensor], alphas: Tensor) -> dict[str, Tensor]:
    """Gradient (n,) of each part in the alphas; the parts' graphs stay for further passes."""
    return {name: _slope(part, alphas) for name, part in parts.items()}


def _slope(part: Tensor, alphas: Tensor) -> Tensor:
    if not part.requires_grad:
        return torch.zeros_like(alphas)
    (slope,) = torch.autograd.grad(part, [alphas], retain_graph=True, materialize_grads=True)
    return slope
