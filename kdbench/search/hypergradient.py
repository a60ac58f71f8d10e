"""How the gradient of a validation loss in the alphas is taken through one virtual training step.

The virtual step is θ' = θ - ξ (the direction of SGD with momentum), so that

    d outer(θ') / d alphas = -ξ f · d² inner / (d alphas d θ) · v,   v = d outer / d θ'

with f = 1 + μ for Nesterov momentum μ, whose direction holds the fresh gradient twice, and f = 1
without. `unrolled` differentiates through the step and serves as the oracle. The others use that
inner = task + mix(alphas) · losses(θ): the mixed derivative along v is then the transposed Jacobian
of `mix` times the derivative of the n losses along v, which needs no second backward pass:
`exact_jvp` takes it exactly, `central_difference` as the papers do.

Source: Liu et al. (DARTS), ICLR 2019, section 2.3; Deng et al. (DistPro), ECCV 2022, section 3.3.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from kdbench.engine import ranks
from kdbench.engine.precision import float32_convolutions
from kdbench.search.problem import Directions, Losses, Tensors


@dataclass(frozen=True)
class Rates:
    """The constants of SGD, as `torch.optim.SGD` names them; dampening is 0."""

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    @property
    def step_scale(self) -> float:
        """How far a step moves a weight against its own fresh gradient: ξ f."""
        return self.lr * (1 + self.momentum if self.nesterov else 1.0)


def virtual_step(
    weights: Tensors, gradients: Directions, buffers: Directions, rates: Rates
) -> list[Tensor]:
    """Where one step of `torch.optim.SGD` would put the weights, without taking it.

    Args:
        weights: current values.
        gradients: of the same shapes, without weight decay; a weight without one stays.
        buffers: momentum buffers of the optimiser; None where it has none yet.
        rates: the optimiser's constants.

    Returns:
        New tensors, with a graph where grad mode is on; to the bit what the optimiser gives.
    """
    moved = []
    for weight, gradient, buffer in zip(weights, gradients, buffers, strict=True):
        if gradient is None:
            moved.append(weight)
            continue
        step = gradient
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
    """Gradient of the validation loss in the alphas, differentiated through the whole step.

    Exact for any `inner`, and costly: it keeps the graph of the gradient. Nothing is changed.

    Args:
        inner: training loss of (weights, alphas), scalar.
        outer: validation loss of the moved weights, scalar.
        weights: leaves that require a gradient.
        alphas: (n,) leaf that requires a gradient.
        buffers: see `virtual_step`.
        rates: see `virtual_step`.

    Returns:
        (n,), 0 where the validation loss does not depend on an alpha.
    """
    loss = inner(weights, alphas)
    own = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    gradients = [None if gradient is None else ranks.mean(gradient) for gradient in own]
    moved = virtual_step(weights, gradients, buffers, rates)
    (in_alphas,) = torch.autograd.grad(outer(moved), [alphas], materialize_grads=True)
    return in_alphas


def exact_jvp(losses: Losses, weights: Tensors, along: Directions) -> Tensor:
    """Exact derivative of the losses along a direction, in one forward-mode pass.

    Args:
        losses: (n,) losses as a function of the weights, without side effects.
        weights: where.
        along: direction, one tensor per weight; None for a weight that stays where it is.

    Returns:
        (n,) d losses(weights + s along) / d s at s = 0.
    """
    (derivative,) = forward_mode(lambda moved: (losses(moved),), weights, along)
    return derivative


def forward_mode(
    function: Callable[[Tensors], tuple[Tensor, ...]], weights: Tensors, along: Directions
) -> tuple[Tensor, ...]:
    """Exact derivative of any tensors along a direction, in one forward-mode pass.

    Args:
        function: tensors as a function of the weights, without side effects.
        weights: see `exact_jvp`.
        along: see `exact_jvp`.

    Returns:
        d function(weights + s along) / d s at s = 0, of the same shapes.
    """
    wake_forward_mode()
    moving = [i for i, direction in enumerate(along) if direction is not None]

    def at(*values: Tensor) -> tuple[Tensor, ...]:
        moved = [weight.detach() for weight in weights]
        for i, value in zip(moving, values, strict=True):
            moved[i] = value
        return function(moved)

    primals = tuple(weights[i].detach() for i in moving)
    tangents = tuple(direction for direction in along if direction is not None)
    with torch.no_grad(), without_autocast(weights):
        derivatives = torch.func.jvp(at, primals, tangents)[1]
    return tuple(derivatives)


def central_difference(
    losses: Losses, weights: Tensors, along: Directions, *, scale: float
) -> Tensor:
    """The derivative that `exact_jvp` gives, from the losses at two points.

    Both passes run without a graph, without autocast and without TF32: in fewer bits the difference
    is noise.

    Args:
        losses: see `exact_jvp`.
        weights: see `exact_jvp`.
        along: see `exact_jvp`.
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

    with torch.no_grad(), without_autocast(weights), float32_convolutions():
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


def through_mix(loss_weights: Tensor, alphas: Tensor, gradient: Tensor) -> Tensor:
    """Carry a gradient in the weights of the losses back to the alphas.

    Args:
        loss_weights: (n,) mix(alphas), with its graph.
        alphas: (n,) leaf.
        gradient: (n,) in `loss_weights`.

    Returns:
        (n,), the transposed Jacobian of the mix times `gradient`.
    """
    outputs = gradient.to(loss_weights.dtype)
    (in_alphas,) = torch.autograd.grad(loss_weights, [alphas], grad_outputs=outputs)
    return in_alphas
