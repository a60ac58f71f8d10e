"""What a search has to offer so that `bilevel` can drive it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

Tensors = Sequence[Tensor]
Data = TypeVar("Data", contravariant=True)


class Searcher(Protocol[Data]):
    """Alphas to tune, weights to fit meanwhile, and the two losses that they meet in.

    The training loss is linear in what the alphas are mixed into:

        inner(weights, alphas) = task(weights) + mix(alphas) · losses(weights)

    `inner`, `outer`, `losses` and `mix` are pure in weights and alphas: a virtual step is an
    argument, so nothing is copied, written or restored. Only `terms` is the forward pass of a
    real step, which may also update what a network remembers (running statistics).

    Attributes:
        alphas: (n,) leaf that requires a gradient.
        weights: the leaves that training fits.
        visible: how many of them, from the first on, the held-out loss looks at; the others are
            left out of the virtual step, where they cannot matter.
    """

    alphas: Tensor
    weights: Tensors
    visible: int

    def mix(self, alphas: Tensor) -> Tensor:
        """Factors (n,) of the losses, a differentiable function of the alphas (n,)."""
        ...

    def terms(self, data: Data) -> tuple[Tensor, Tensor]:
        """Task loss, scalar, and losses (n,) at the real weights, with a graph."""
        ...

    def losses(self, weights: Tensors, data: Data) -> Tensor:
        """The losses (n,) as a function of the weights, in full precision."""
        ...

    def inner(self, weights: Tensors, alphas: Tensor, data: Data) -> Tensor:
        """Training loss, scalar."""
        ...

    def outer(self, weights: Tensors, data: Data) -> Tensor:
        """Held-out loss, scalar; it does not see the alphas."""
        ...
