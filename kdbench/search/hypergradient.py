"""How the gradient of a held-out loss in the alphas is taken through one virtual training step.

The virtual step is θ' = θ - ξ (the direction of SGD with momentum), so that

    d outer(θ') / d alphas = -ξ f · d² inner / (d alphas d θ) · v,   v = d outer / d θ'

with f = 1 + μ for Nesterov momentum μ, whose direction holds the fresh gradient twice, and f = 1
without. `unrolled` differentiates through the step and serves as the oracle. The others use that
inner = task + mix(alphas) · losses(θ): the mixed derivative along v is then the transposed Jacobian
of `mix` times the derivative of the n losses along v, which needs no second backward pass:
`directional` takes it exactly, `central_difference` as the papers do.

Source: Liu et al. (DARTS), ICLR 2019, section 2.3; Deng et al. (DistPro), ECCV 2022, section 3.3.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from kdbench.search.searcher import Tensors

Losses = Callable[[Tensors], Tensor]
Directions = Sequence[Tensor | None]
Probe = Callable[[Losses, Tensors, Directions], Tensor]


@dataclass(frozen=True)
class Rates:
    """The constants of SGD, as `torch.optim.SGD` names them; dampening is 0."""

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    @property
    def reach(self) -> float:
        """How far a step moves a weight against its own fresh gradient: ξ f."""
        return self.lr * (1 + self.momentum if self.nesterov else 1.0)


def virtual_step(
    weights: Tensors, slopes: Directions, buffers: Directions, rates: Rates
) -> list[Tensor]:
    """Where one step of `torch.optim.SGD` would put the weights, without taking it.

    Args:
        weights: current values.
        slopes: gradients of the same shapes, without weight decay; a weight without one stays.
        buffers: momentum buffers of the optimiser; None where it has none yet.
        rates: the optimiser's constants.

    Returns:
        New tensors, with a graph where grad mode is on; to the bit what the optimiser gives.
    """
    moved = []
    for weight, slope, buffer in zip(weights, slopes, buffers, strict=True):
        if slope is None:
            moved.append(weight)
            continue
        step = slope
        if rates.weight_decay:
            step = torch.add(step, weight, alpha=rates.weight_decay)
        if rates.momentum:
            velocity = step if buffer is None else torch.add(buffer * rates.momentum, step)
            step = torch.add(step, velocity, alpha=rates.momentum) if rates.nesterov else velocity
        moved.append(torch.add(weight, step, alpha=-rates.lr))
    return moved


def unrolled(
    inner: Callable[[Tensors, Tensor], Tensor],
    outer: Callable[[Tensors], Tensor],
    weights: Tensors,
    alphas: Tensor,
    buffers: Directions,
    rates: Rates,
) -> Tensor:
    """Gradient of the held-out loss in the alphas, differentiated through the whole step.

    Exact for any `inner`, and costly: it keeps the graph of the gradient. Nothing is changed.

    Args:
        inner: training loss of (weights, alphas), scalar.
        outer: held-out loss of the moved weights, scalar.
        weights: leaves that require a gradient.
        alphas: (n,) leaf that requires a gradient.
        buffers: see `virtual_step`.
        rates: see `virtual_step`.

    Returns:
        (n,), 0 where the held-out loss does not depend on an alpha.
    """
    loss = inner(weights, alphas)
    slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    moved = virtual_step(weights, slopes, buffers, rates)
    (found,) = torch.autograd.grad(outer(moved), [alphas], materialize_grads=True)
    return found


def directional(losses: Losses, weights: Tensors, along: Directions) -> Tensor:
    """Exact derivative of the losses along a direction, in one forward-mode pass.

    Args:
        losses: (n,) losses as a function of the weights, without side effects.
        weights: where.
        along: direction, a tensor a weight; None for a weight that stays where it is.

    Returns:
        (n,) d losses(weights + s along) / d s at s = 0.
    """
    (slope,) = exact_change(lambda moved: (losses(moved),), weights, along)
    return slope


def exact_change(
    function: Callable[[Tensors], tuple[Tensor, ...]], weights: Tensors, along: Directions
) -> tuple[Tensor, ...]:
    """Exact derivative of any tensors along a direction, in one forward-mode pass.

    Args:
        function: tensors as a function of the weights, without side effects.
        weights: see `directional`.
        along: see `directional`.

    Returns:
        d function(weights + s along) / d s at s = 0, of the same shapes.
    """
    wake_forward_mode()
    places = [i for i, direction in enumerate(along) if direction is not None]

    def moving(*values: Tensor) -> tuple[Tensor, ...]:
        moved = [weight.detach() for weight in weights]
        for place, value in zip(places, values, strict=True):
            moved[place] = value
        return function(moved)

    where = tuple(weights[i].detach() for i in places)
    tangents = tuple(direction for direction in along if direction is not None)
    with torch.no_grad(), without_autocast(weights):
        _, slopes = torch.func.jvp(moving, where, tangents)
    return tuple(slopes)


def central_difference(
    losses: Losses, weights: Tensors, along: Directions, scale: float = 0.01
) -> Tensor:
    """The derivative that `directional` gives, from the losses at two points.

    Both passes run without a graph and without autocast: in bfloat16 the difference is noise.

    Args:
        losses: see `directional`.
        weights: see `directional`.
        along: see `directional`.
        scale: distance of either point from `weights`, in their own unit: the step is
            ε = scale / |along|. DARTS and the released DistPro take 0.01.

    Returns:
        (n,); 0 where the direction is 0.
    """
    squares = [direction.square().sum() for direction in along if direction is not None]
    norm = torch.stack(squares).sum().sqrt()
    step = scale / norm.clamp_min(torch.finfo(norm.dtype).tiny)

    def at(sign: int) -> Tensor:
        return losses(
            [
                weight.detach() if direction is None else weight.detach() + sign * step * direction
                for weight, direction in zip(weights, along, strict=True)
            ]
        )

    with torch.no_grad(), without_autocast(weights):
        return (at(1) - at(-1)) / (2 * step)


@cache
def wake_forward_mode() -> None:
    """Differentiate once, for nothing: PyTorch's first time warns about PyTorch's own code."""
    zero = torch.zeros(())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        torch.func.jvp(torch.sin, (zero,), (zero,))


def without_autocast(weights: Tensors) -> torch.autocast:
    """Switch autocast off on the device of the weights."""
    return torch.autocast(weights[0].device.type, enabled=False)


def through_mix(mixed: Tensor, alphas: Tensor, slope: Tensor) -> Tensor:
    """Carry a gradient in the mixed weights back to the alphas.

    Args:
        mixed: (n,) mix(alphas), with its graph.
        alphas: (n,) leaf.
        slope: (n,) gradient in `mixed`.

    Returns:
        (n,), the transposed Jacobian of the mix times `slope`.
    """
    (found,) = torch.autograd.grad(mixed, [alphas], grad_outputs=slope.to(mixed.dtype))
    return found
