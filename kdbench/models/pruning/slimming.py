"""A network becomes smaller: closed channels leave its weights, and readers pick what they read."""

from copy import deepcopy
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.models.pruning.channel_layout import Bypass, Cut, Layout, Mask, Plan
from kdbench.models.stages import StagedNetwork


class Slice(nn.Module):
    """Neighbouring channels of a map, without a copy."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, stop - start, H, W)."""
        return x[:, self.start : self.stop]


class Pick(nn.Module):
    """Scattered channels of a map, copied together. The index follows from the structure."""

    index: Tensor

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, len(index), H, W), in the memory format of x."""
        if not x.is_contiguous(memory_format=torch.channels_last):
            return x.index_select(1, self.index)
        # Pixel by pixel: along axis 1 it would be ten times slower, and come out in NCHW.
        pixels = x.permute(0, 2, 3, 1)
        picked = pixels.flatten(0, 2).index_select(1, self.index)
        return torch.unflatten(picked, 0, pixels.shape[:3]).permute(0, 3, 1, 2)


class PickedNorm(nn.BatchNorm2d):
    """A batch norm of some of the channels that arrive."""

    pick: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(B, arriving, H, W) -> (B, C, H, W)."""
        return super().forward(self.pick(x))


class PickedConv(nn.Conv2d):
    """A convolution of some of the channels that arrive."""

    pick: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(B, arriving, H, W) -> (B, outputs, ...)."""
        return super().forward(self.pick(x))


def picking(reads: Mask, source: Mask, device: torch.device | None = None) -> nn.Module:
    """A module that takes the channels `reads` out of a map that holds the channels `source`.

    Nothing where all are read, a slice where they are neighbours, an index otherwise.

    >>> from kdbench.models.pruning.channel_layout import every
    >>> import numpy as np
    >>> picking(np.array([False, True, True]), every(3))
    Slice()
    """
    index = np.flatnonzero(reads[source])
    if len(index) == source.sum():
        return nn.Identity()
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return Slice(int(index[0]), int(index[-1]) + 1)
    return Pick(torch.from_numpy(index).to(device))


@torch.no_grad()
def prune(layout: Layout, plan: Plan) -> StagedNetwork:
    """A smaller copy of a network with the weights that a plan keeps.

    Args:
        layout: of the network, which is plain and stays as it is.
        plan: of this layout.

    Returns:
        A staged network without masks; its layers bear the names of those that they come from, and
        a block that is gone is an identity.
    """
    small = deepcopy(layout.network)
    small.__dict__.pop("stages", None)  # measured anew
    for cut in plan.cuts:
        _shrink(small.get_submodule(cut.path), cut)
    device = small.classifier.weight.device
    for bypass in plan.bypasses:
        block = small.get_submodule(bypass.path)
        small.set_submodule(bypass.path, _replacement(layout, block, bypass, device))
    return small


def _shrink(layer: nn.Module, cut: Cut) -> None:
    """Take the inputs and outputs that a cut does not keep out of a layer, in place."""
    weight = cast("nn.Parameter", layer.weight)
    reads, writes = (torch.from_numpy(np.flatnonzero(m)).to(weight.device) for m in cut[1:3])
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = len(reads)
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name)[reads])
        _replace(layer, "weight", weight[reads])
        _replace(layer, "bias", layer.bias[reads])
    else:
        linear = isinstance(layer, nn.Linear)
        names = ("in_features", "out_features") if linear else ("in_channels", "out_channels")
        for name, channels in zip(names, (reads, writes), strict=True):
            setattr(layer, name, len(channels))
        _replace(layer, "weight", weight[writes][:, reads])
        if layer.bias is not None:
            _replace(layer, "bias", cast("nn.Parameter", layer.bias)[writes])
    if (cut.reads != cut.source).any():
        layer.pick = picking(cut.reads, cut.source, weight.device)
        layer.__class__ = PickedNorm if isinstance(layer, nn.BatchNorm2d) else PickedConv


def _replace(layer: nn.Module, name: str, values: Tensor) -> None:
    needed = getattr(layer, name).requires_grad
    setattr(layer, name, nn.Parameter(values.contiguous(), needed))


def _replacement(
    layout: Layout, block: nn.Module, bypass: Bypass, device: torch.device
) -> nn.Module:
    """What stands in a block's place."""
    if bypass.kind == "nothing":
        return nn.Identity()
    if bypass.kind == "projection":
        return layout.projection_of(block)
    skip = picking(bypass.needs, bypass.source, device)
    return skip if bypass.kind == "identity" else layout.narrowed(block, skip)
