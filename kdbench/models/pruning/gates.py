"""Gates: a factor on every channel that a layer reads, folded into that layer's own weights.

A norm that stands in front of the layer is multiplied after it has normalised, where the factor
cannot cancel; a convolution or a linear layer without such a norm is multiplied at its input. Both
are done on the weights, which are few, and never on the maps: g · (γx + β) = (gγ)x + gβ, and a
convolution of g · x is one whose weights of that input channel are multiplied.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.models.stages import StagedNetwork


class GatedNorm(nn.BatchNorm2d):
    """A batch norm whose output is multiplied by one gate per channel: `gate`, (C,)."""

    gate: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same; what a plain batch norm remembers is remembered here too."""
        remembers = self.training and self.track_running_stats
        if remembers and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        running = remembers or not self.training
        assert self.momentum is not None  # no family takes a cumulative average
        return F.batch_norm(
            x,
            self.running_mean if running else None,
            self.running_var if running else None,
            self.weight * self.gate,
            self.bias * self.gate,
            self.training,
            self.momentum,
            self.eps,
        )

    def fold(self) -> None:
        """Take the gate into scale and shift."""
        self.weight.mul_(self.gate)
        self.bias.mul_(self.gate)


class GatedConv(nn.Conv2d):
    """A convolution without groups whose input is multiplied by one gate per channel: (inputs,)."""

    gate: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ...)."""
        weight = self.weight * self.gate[:, None, None]
        convolved: Tensor = self._conv_forward(x, weight, self.bias)
        return convolved

    def fold(self) -> None:
        """Take the gate into the weights."""
        self.weight.mul_(self.gate[:, None, None])


class GatedLinear(nn.Linear):
    """A linear layer whose input is multiplied by one gate per entry: (inputs,)."""

    gate: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return F.linear(x, self.weight * self.gate, self.bias)

    def fold(self) -> None:
        """Take the gate into the weights."""
        self.weight.mul_(self.gate)


Gated = GatedNorm | GatedConv | GatedLinear


class Gates:
    """All gates of a network, open (1) at first, in one flat tensor.

    The network's `state_dict` has one more key per reader, ending in `.gate`; every gate is a piece
    of `values`, so that one operation moves all of them. A copy of the network leaves `values`.

    Args:
        network: changed in place; its other parameters and its outputs stay as they are.
        readers: number of channels by the name of the norm, convolution or linear layer to gate.

    Attributes:
        values: (n,) all gates in the readers' order, without a gradient.
        leaves: the same as parameters by reader, for automatic differentiation.
    """

    KINDS: ClassVar[Mapping[type[nn.Module], type[Gated]]] = {
        nn.BatchNorm2d: GatedNorm,
        nn.Conv2d: GatedConv,
        nn.Linear: GatedLinear,
    }

    def __init__(self, network: StagedNetwork, readers: Mapping[str, int]) -> None:
        weight = network.classifier.weight
        self.values = torch.ones(sum(readers.values()), dtype=weight.dtype, device=weight.device)
        self.leaves: dict[str, nn.Parameter] = {}
        pieces = torch.split(self.values, list(readers.values()))
        for name, piece in zip(readers, pieces, strict=True):
            module = network.get_submodule(name)
            # The module keeps its tensors and settings; only what `forward` computes is another.
            module.__class__ = self.KINDS[type(module)]
            module.gate = nn.Parameter(piece)
            self.leaves[name] = module.gate

    def by_reader(self, flat: Tensor) -> dict[str, Tensor]:
        """Pieces of a flat (n,) tensor under their readers' names."""
        widths = [len(leaf) for leaf in self.leaves.values()]
        return dict(zip(self.leaves, torch.split(flat, widths), strict=True))


def gated_modules(network: nn.Module) -> dict[str, Gated]:
    """Every gated module of a network by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, Gated)}


@torch.no_grad()
def folded(network: StagedNetwork) -> StagedNetwork:
    """A plain copy of a gated network that computes the same."""
    copy = deepcopy(network)
    for module in gated_modules(copy).values():
        module.fold()
        del module.gate
        plain = next(k for k, v in Gates.KINDS.items() if type(module) is v)
        cast("nn.Module", module).__class__ = plain
    return copy
