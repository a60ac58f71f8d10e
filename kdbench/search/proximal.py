"""The accelerated proximal gradient in its one-gradient form: gates reach 0 and stay there."""

from typing import NamedTuple

import torch
from torch import Tensor

from kdbench.errors import UnknownName

MOMENTA = ("fixed", "growing")


class Momenta(NamedTuple):
    """The two factors of one step.

    Attributes:
        velocity: of the velocity so far, μ of the step before.
        gates: of the new velocity, μ of this step.
    """

    velocity: float
    gates: float


def momenta(scheme: str, step: int, mu: float) -> Momenta:
    """The factors of a step.

    Args:
        scheme: "fixed" is μ in both places; "growing" is μ_{k-1} = (k - 2) / (k + 1) in the
            velocity and μ_k in the gates, whatever `mu` says.
        step: k, 1 at the first step.
        mu: the fixed factor.

    Raises:
        UnknownName: there is no such scheme.

    Source: Huang & Wang, ECCV 2018 (fixed, 0.9); Parikh & Boyd, Proximal algorithms, section 4.3,
    up to its index, as a public explanation of Gu & Tresp, ECAI 2020, gives it (growing).

    >>> momenta("growing", 2, 0.9)
    Momenta(velocity=0.0, gates=0.25)
    """
    if scheme not in MOMENTA:
        raise UnknownName("momentum", scheme, MOMENTA, where="search, gate_momentum")
    if scheme == "fixed":
        return Momenta(mu, mu)
    return Momenta((step - 2) / (step + 1), (step - 1) / (step + 2))


def travel(scheme: str, mu: float, steps: int) -> list[float]:
    """How far below its start a gate is after 1, 2, ... steps of which each charges it 1.

    The charge is η times the penalty's slope; nothing else pulls, and 0 is far away. With fixed
    momenta a step adds 1 / (1 - μ) in the end; with growing ones it adds more and more.

    Args:
        scheme: see `momenta`.
        mu: as above.
        steps: how many, at least 0.

    Returns:
        One distance per step, each above the one before it.
    """
    distances, gate, velocity = [], 0.0, 0.0
    for step in range(1, steps + 1):
        factors = momenta(scheme, step, mu)
        velocity = -1.0 + factors.velocity * velocity
        gate += -1.0 + factors.gates * velocity
        distances.append(-gate)
    return distances


def soft_threshold(values: Tensor, width: Tensor | float) -> Tensor:
    """Values moved towards 0 by `width`, at most to 0."""
    return values.sign() * (values.abs() - width).clamp_min(0)


@torch.no_grad()
def accelerated_step(
    gates: Tensor,
    gradients: Tensor,
    velocity: Tensor,
    *,
    lr: float,
    strengths: Tensor,
    factors: Momenta,
    nonnegative: bool,
) -> None:
    """One step, in place, of gates that pay `strengths` times their size.

    z = g - η ∇; s = S(z, η · strengths); v ← s - g + μ v; g ← s + μ' v; then, if they may not be
    negative, g ← max(g, 0). The gradient is taken at g, which is the point ahead of s already.

    Args:
        gates: (n,) g, changed.
        gradients: (n,) of the smooth part of the loss at the gates.
        velocity: (n,) v, 0 before the first step, changed.
        lr: η.
        strengths: (n,) factor of every gate's size in the loss.
        factors: μ and μ'.
        nonnegative: whether gates end at 0 or above. The velocity does not know of it.

    Source: Huang & Wang, Data-driven sparse structure selection, ECCV 2018, eq. 9 to 12; gates
    are kept from being negative in its code.
    """
    reached = soft_threshold(gates - lr * gradients, lr * strengths)
    velocity.mul_(factors.velocity).add_(reached - gates)
    torch.add(reached, velocity, alpha=factors.gates, out=gates)
    if nonnegative:
        gates.clamp_min_(0)
