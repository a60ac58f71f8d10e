"""What a search promises the search phase, and what it may offer so that `bilevel` can drive it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features

Tensors = Sequence[Tensor]
Slopes = Sequence[Tensor | None]
Data = TypeVar("Data", contravariant=True)


class Terms(Protocol):
    """What the forward pass of a real step saw, and how the loss slopes there.

    Attributes:
        task: task loss, scalar.
        losses: (n,) losses before mixing.
    """

    task: Tensor
    losses: Tensor

    def slopes(self, mixed: Tensor) -> Slopes:
        """Gradient of task + mixed · losses in every weight; may be asked for more than once."""
        ...


class Searcher(Protocol[Data]):
    """Alphas to tune, weights to fit meanwhile, and the two losses that they meet in.

    The training loss is linear in what the alphas are mixed into:

        inner(weights, alphas) = task(weights) + mix(alphas) · losses(weights)

    `inner`, `outer`, `rises` and `mix` are pure in weights and alphas: a virtual step is an
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

    def terms(self, data: Data) -> Terms:
        """The forward pass at the real weights."""
        ...

    def rises(self, terms: Any, along: Slopes, data: Data, probe: Any) -> Tensor:
        """Derivatives (n,) of the losses along a direction of the visible weights.

        Args:
            terms: what `terms(data)` gave at the same weights.
            along: a tensor a visible weight; None for one that stays where it is.
            data: of the losses.
            probe: see `kdbench.search.hypergradient.Probe`.
        """
        ...

    def inner(self, weights: Tensors, alphas: Tensor, data: Data) -> Tensor:
        """Training loss, scalar."""
        ...

    def outer(self, weights: Tensors, data: Data) -> Tensor:
        """Held-out loss, scalar; it does not see the alphas."""
        ...


class Finding(Protocol):
    """What a search found."""

    def save(self, folder: Path) -> None:
        """Write it into the run's artifact folder, whole or not at all."""
        ...

    def summary(self) -> dict[str, Any]:
        """Keys for the search's record, small and JSON."""
        ...


class Search(Protocol):
    """What the search phase drives; the class that a search's declaration names.

    Constructed as `cls(student, teacher, *, lr, momentum, nesterov, weight_decay, autocast,
    **parameters)`: both networks, the constants of the protocol's SGD, the context for passes in
    the run's precision, and the declaration's parameters except `held_out`. The declaration may say
    `start = "teacher"`: then the student is of the teacher's family and has its weights. With
    `held_out = 0` every step gets None in place of held-out images.

    Attributes:
        connectors: what is trained beside the student; moved to the student's device by whoever
            constructs the search.
        lr: learning rate of the next step; the phase sets it along the protocol's schedule.
        finished: the search is over before its last epoch; looked at after every epoch. A class
            without it runs to the end.
        teacher_on_held: `step` is also given `held_teacher=...`, the teacher's features of the
            held-out images, without a graph. A class without it is not.
    """

    connectors: nn.Module
    lr: float

    def step(
        self, train: Batch, teacher: Features, held: Batch | None, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """One step; returns scalars without a graph, whose means an epoch is logged by.

        Args:
            train: images of the training share.
            teacher: the teacher's features of them, without a graph.
            held: images of the held-out share, all of them training images too.
            position: where the search stands.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a bit-exact resume needs, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in a search built with the same arguments."""
        ...

    def finding(self) -> Finding:
        """What was found so far."""
        ...

    def blank(self) -> Finding:
        """A finding of the same shape before any step: what `kdbench check` builds methods on."""
        ...
