"""What `bilevel` asks of a search: two losses, the alphas between them, and derivatives."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from torch import Tensor

Tensors: TypeAlias = Sequence[Tensor]
Directions: TypeAlias = Sequence[Tensor | None]  # one per weight; None for one that is left out
Losses: TypeAlias = Callable[[Tensors], Tensor]  # of the weights, (n,)
JVP: TypeAlias = Callable[[Losses, Tensors, Directions], Tensor]  # derivative along a direction

Data = TypeVar("Data", contravariant=True)


class Terms(Protocol):
    """The forward pass of a real step, with what its backward passes need."""

    @property
    def task(self) -> Tensor:
        """Task loss, scalar."""
        ...

    @property
    def losses(self) -> Tensor:
        """The n losses before weighting, (n,)."""
        ...

    def gradients(self, loss_weights: Tensor) -> Directions:
        """Gradients of task + loss_weights · losses in all weights; may be called repeatedly."""
        ...


T = TypeVar("T", bound=Terms)


class BilevelProblem(Protocol[Data, T]):
    """Alphas to tune, weights to fit meanwhile, and the two losses that they meet in.

    The training loss is linear in what the alphas are mixed into:

        inner(weights, alphas) = task(weights) + mix(alphas) · losses(weights)

    `inner`, `outer`, `directional_derivatives` and `mix` are pure in weights and alphas: a virtual
    step is an argument, so nothing is copied, written or restored. Only `terms` is the forward pass
    of a real step, which may also update what a network remembers (running statistics).
    """

    @property
    def alphas(self) -> Tensor:
        """Leaf (n,) that requires a gradient."""
        ...

    @property
    def weights(self) -> Tensors:
        """The leaves that training fits."""
        ...

    @property
    def visible(self) -> int:
        """How many weights, from the first on, the validation loss reads.

        The others are left out of the virtual step, where they cannot matter.
        """
        ...

    def mix(self, alphas: Tensor, /) -> Tensor:
        """Weights (n,) of the losses, a differentiable function of the alphas (n,)."""
        ...

    def terms(self, data: Data) -> T:
        """The forward pass at the real weights."""
        ...

    def directional_derivatives(self, terms: T, along: Directions, data: Data, jvp: JVP) -> Tensor:
        """Derivatives (n,) of the losses along a direction of the visible weights.

        Args:
            terms: what `terms(data)` returned at the same weights.
            along: one tensor per visible weight; None for a weight that stays where it is.
            data: of the losses.
            jvp: `kdbench.search.hypergradient.exact_jvp`, or `central_difference` at some scale.
        """
        ...

    def inner(self, weights: Tensors, alphas: Tensor, data: Data) -> Tensor:
        """Training loss, scalar."""
        ...

    def outer(self, weights: Tensors, data: Data) -> Tensor:
        """Validation loss, scalar; it does not see the alphas."""
        ...
