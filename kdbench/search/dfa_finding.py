"""What DFA's search finds: the process, and which path's gradient moved it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdbench.distill.scheme import MOST_ROWS, Scheme
from kdbench.store.record import thinned

COSINE = "cosine"


@dataclass(frozen=True, eq=False)
class DFAScheme(Scheme):
    """A scheme, and the gradients that its β followed.

    Attributes:
        gradients: by name of `gradient_names`, a value per row; not a number where the row's β
            rested or there is none.
    """

    gradients: Mapping[str, Tensor] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The process, and "gradients" at the same steps: norms by path and their cosine."""
        listed = thinned(range(len(self)), MOST_ROWS)
        gradients = {name: _plain(values[listed]) for name, values in self.gradients.items()}
        return {**super().summary(), "gradients": {"steps": listed, **gradients}}


def gradient_names(terms: Sequence[str]) -> tuple[str, ...]:
    """What is recorded of a step of β: a norm per path, and of two paths their cosine."""
    return (*terms, *([COSINE] if len(terms) == 2 else []))


def gradient_sizes(terms: Sequence[str], direct: Mapping[str, Tensor], *, like: Tensor) -> Tensor:
    """The norms of the paths' gradients in β, and their cosine: the values of `gradient_names`.

    Args:
        terms: names of the paths.
        direct: (L,) by path, see `kdbench.search.darts.MetaGradient`; empty where β rested.
        like: a tensor of the device and type that is wanted.
    """
    if not direct:
        return like.new_full((len(gradient_names(terms)),), math.nan)
    gradients = [direct[name].detach() for name in terms]
    sizes = [gradient.norm() for gradient in gradients]
    if len(terms) == 2:
        sizes.append(gradients[0] @ gradients[1] / (sizes[0] * sizes[1]))
    return torch.stack(sizes)


def _plain(values: Tensor) -> list[float | None]:
    """Numbers with 5 digits, and None for what is none."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]
