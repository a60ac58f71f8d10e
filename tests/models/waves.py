"""Weights and images that a formula gives, so that two codes can compute with the same ones."""

import torch
from torch import Tensor, nn


def wave(like: Tensor, phase: float) -> Tensor:
    """Numbers in -1..1 that depend on the shape and the phase alone."""
    return torch.sin(torch.arange(like.numel()) * 1.7 + phase).reshape(like.shape)


def images(side: int) -> Tensor:
    """Two images, (2, 3, side, side), of which the second is no shift of the first."""
    both = wave(torch.empty(2, 3, side, side), 0.1)
    both[1] = both[1].flip(-1).square()
    return both


@torch.no_grad()
def fill(network: nn.Module) -> nn.Module:
    """Set every parameter and statistic by its shape and kind, whatever it is called."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.copy_(1 + 0.3 * wave(module.weight, 0.0))
            module.bias.copy_(0.3 * wave(module.bias, 1.0))
            module.running_mean.copy_(0.2 * wave(module.bias, 2.0))
            module.running_var.copy_(1 + 0.5 * wave(module.bias, 3.0))
        elif isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            weight.copy_(wave(weight, 0.5) * (2 / weight[0].numel()) ** 0.5)
            if module.bias is not None:
                module.bias.copy_(wave(module.bias, 0.2))
    return network


def probe(maps: Tensor) -> list[float]:
    """Two numbers that tell (B, C, H, W) maps apart: mean square, and product with a wave."""
    return [maps.square().mean().item(), (maps * wave(maps, 0.7)).mean().item()]


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A `state_dict` by a formula of each key's place, so that two keys never hold the same."""
    return {key: _weight(key, shape, k) for k, (key, shape) in enumerate(shapes.items())}


def _weight(key: str, shape: tuple[int, ...], place: int) -> Tensor:
    if not shape:
        return torch.tensor(place)
    values = wave(torch.empty(shape), place)
    if len(shape) > 1:
        return values * (2 / values[0].numel()) ** 0.5
    if key.endswith("running_var"):
        return 1 + 0.5 * values
    return 0.3 * values + (1 if key.endswith("weight") else 0)  # a norm's weight
