"""A network becomes smaller: closed channels leave its weights, and readers pick what they read."""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.models.families.resnet import ResidualBlock
from kdbench.models.families.wide_resnet import PreActivationBlock
from kdbench.models.pruning.channel_layout import Bypass, Cut, Mask, Plan
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
        return picked.unflatten(0, pixels.shape[:3]).permute(0, 3, 1, 2)


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


class NarrowingBlock(PreActivationBlock):
    """A pre-activation block whose identity passes on fewer channels than arrive."""

    skip: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> raw sum (B, outputs, H, W)."""
        active = x if self.norm1 is None else relu(self.norm1(x))
        return self.conv2(relu(self.norm2(self.conv1(active)))) + self.skip(x)


class ProjectionOnly(nn.Module):
    """What is left of a pre-activation block without its branch."""

    def __init__(self, block: PreActivationBlock) -> None:
        super().__init__()
        self.norm1, self.shortcut = block.norm1, block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.shortcut(x if self.norm1 is None else relu(self.norm1(x)))


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
def carve(network: StagedNetwork, plan: Plan) -> StagedNetwork:
    """A smaller copy of a network with the weights that a plan keeps.

    Args:
        network: plain, as the plan's layout saw it.
        plan: see `kdbench.models.pruning.channel_layout`.

    Returns:
        A staged network without masks; its layers bear the names of those that they come from, and
        a block that is gone is an identity.
    """
    small = deepcopy(network)
    small.__dict__.pop("stages", None)  # measured anew
    for cut in plan.cuts:
        _cut(small.get_submodule(cut.path), cut)
    for bypass in plan.bypasses:
        device = small.classifier.weight.device
        small.set_submodule(
            bypass.path, _bypassed(small.get_submodule(bypass.path), bypass, device)
        )
    return small


def _cut(layer: nn.Module, cut: Cut) -> None:
    device = layer.weight.device
    reads, writes = (torch.from_numpy(np.flatnonzero(m)).to(device) for m in cut[1:3])
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = len(reads)
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name)[reads])
        _replace(layer, "weight", layer.weight[reads])
        _replace(layer, "bias", layer.bias[reads])
    else:
        linear = isinstance(layer, nn.Linear)
        names = ("in_features", "out_features") if linear else ("in_channels", "out_channels")
        for name, kept in zip(names, (reads, writes), strict=True):
            setattr(layer, name, len(kept))
        _replace(layer, "weight", layer.weight[writes][:, reads])
        if layer.bias is not None:
            _replace(layer, "bias", layer.bias[writes])
    if (cut.reads != cut.source).any():
        layer.pick = picking(cut.reads, cut.source, device)
        layer.__class__ = PickedNorm if isinstance(layer, nn.BatchNorm2d) else PickedConv


def _replace(layer: nn.Module, name: str, values: Tensor) -> None:
    needed = getattr(layer, name).requires_grad
    setattr(layer, name, nn.Parameter(values.contiguous(), needed))


def _bypassed(block: nn.Module, bypass: Bypass, device: torch.device) -> nn.Module:
    """What stands in a block's place."""
    if bypass.kind == "nothing":
        return nn.Identity()
    if bypass.kind == "projection":
        return block.shortcut if isinstance(block, ResidualBlock) else ProjectionOnly(block)
    skip = picking(bypass.needs, bypass.source, device)
    if bypass.kind == "identity":
        return skip
    if isinstance(block, ResidualBlock):
        block.shortcut = skip
    else:
        block.skip = skip
        block.__class__ = NarrowingBlock
    return block
