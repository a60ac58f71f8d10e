"""What a network costs: parameters and multiply-adds, by stated conventions."""

from copy import deepcopy

import torch

from kdbench.models.stages import StagedNetwork


def parameters(network: StagedNetwork) -> int:
    """Number of trainable numbers; batch norms count their scale and shift."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: StagedNetwork, image: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and linear layers for one (C, H, W) image.

    Nothing else counts, as in the field's tables. Computed on the meta device.
    """
    from torch.utils.flop_counter import FlopCounterMode  # a tenth of a second in every job

    ghost = deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ghost(torch.empty(1, *image, device="meta"))
    return counter.get_total_flops() // 2
