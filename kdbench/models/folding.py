"""Batch norms in evaluation mode, folded into the convolutions in front of them."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from kdbench.errors import BadValue
from kdbench.models.stages import Features, StagedNetwork

CLOSE = 1e-6  # largest difference of a map in float64, in the largest entry of the map


@torch.no_grad()
def fold_norms(network: StagedNetwork) -> int:
    """Fold the norms that are alone in reading a convolution's output; returns how many.

    The convolution then gives what the norm gave, and an identity stands in the norm's place. What
    the network shows stays the same but for rounding: a convolution whose output is shown itself,
    such as the stem of a wide ResNet, keeps its norm.

    Args:
        network: trained; it is put into evaluation mode and changed in place.

    Raises:
        BadValue: the network shows other maps afterwards: it reads a convolution's output twice.
    """
    network.eval()  # in training a pass would move the statistics
    twin = copy.deepcopy(network).double()  # in which rounding cannot be taken for a mistake
    images = _waves(twin)
    before = _maps(twin.read(images))
    folded = _fold_all(twin)
    for one, other in zip(before, _maps(twin.read(images)), strict=True):
        if (one - other).abs().max() > CLOSE * one.abs().max():
            advice = "leave the teacher's norms where they are: fold_teacher: false"
            where = f"folding the norms of {type(network).__name__}"
            raise BadValue(where, "other maps than before", "the same but for rounding", advice)
    _fold_all(network)
    return folded


def _fold_all(network: StagedNetwork) -> int:
    """Fold without a check; returns how many norms."""
    pairs = _pairs(network)
    names = {module: name for name, module in network.named_modules()}
    for conv, norm in pairs:
        _fold(conv, norm)
        parent, _, own = names[norm].rpartition(".")
        setattr(network.get_submodule(parent), own, nn.Identity())
    return len(pairs)


def _pairs(network: StagedNetwork) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the norms that read their output, as a pass shows them."""
    outputs: list[tuple[Tensor, nn.Conv2d]] = []
    pairs: list[tuple[Tensor, nn.Conv2d, nn.BatchNorm2d]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            outputs.append((output, module))
        elif isinstance(module, nn.BatchNorm2d):
            pairs.extend((o, conv, module) for o, conv in outputs if o is inputs[0])

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, kinds)]
    try:
        shown = {id(shown) for shown in _maps(network.read(_waves(network)))}
    finally:
        for hook in hooks:
            hook.remove()
    return [(conv, norm) for output, conv, norm in pairs if id(output) not in shown]


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Give a convolution the norm's scale and shift, worked out in float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a norm without running statistics cannot be folded")
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None if conv.bias is None else conv.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
    )
    conv.weight.copy_(weight)  # its layout stays
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)


def _maps(features: Features) -> list[Tensor]:
    """Everything that a pass shows."""
    lists = (features.pre, features.post, features.out, *features.blocks)
    return [features.logits, features.pooled, *(m for maps in lists for m in maps)]


def _waves(network: StagedNetwork) -> Tensor:
    """Two images, the same on every machine, in which no two pixels are alike."""
    like = next(network.parameters())
    shape = (2, *network.image)
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (1.7 * numbers).sin().reshape(shape).to(like)
