"""Activation checkpointing: blocks keep their inputs alone and compute again on the way back."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kdbench.errors import BadValue
from kdbench.models.segments import Segment

RECOMPUTE = "KDBENCH_RECOMPUTE"  # environment: 1 spends time to save memory, 0 does not
SWITCH = {"": False, "0": False, "1": True}
Norm = nn.modules.batchnorm._BatchNorm


def wanted() -> bool:
    """Whether the environment asks for it. No number depends on it, so no digest knows of it.

    Raises:
        BadValue: KDBENCH_RECOMPUTE is neither 0 nor 1.
    """
    setting = os.environ.get(RECOMPUTE, "")
    if setting not in SWITCH:
        raise BadValue(RECOMPUTE, setting, "0 or 1")
    return SWITCH[setting]


def recompute_blocks(network: nn.Module) -> None:
    """Have every block of every stage compute its inner activations again when they are needed.

    Memory then holds the blocks' inputs and one block's inside; a step takes about a forward pass
    longer. Batch norms count a batch once: while a block computes again, statistics rest.

    Args:
        network: in whose training steps; keys of its state stay as they are.
    """
    for segment in network.modules():
        if isinstance(segment, Segment):
            for block in segment.blocks:
                norms = [module for module in block.modules() if isinstance(module, Norm)]
                block.forward = partial(_forward, block.forward, norms)


def _forward(inner: Callable[..., Any], norms: list[Norm], *inputs: Any) -> Any:
    """A block's own forward pass, kept for the way back or not."""
    if not torch.is_grad_enabled():
        return inner(*inputs)
    contexts = partial(_contexts, norms)
    return checkpoint(inner, *inputs, use_reentrant=False, context_fn=contexts)


def _contexts(
    norms: list[Norm],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first pass, and around the second."""
    return nullcontext(), _resting(norms)


@contextmanager
def _resting(norms: list[Norm]) -> Iterator[None]:
    """Have norms in train mode leave their running statistics and their count as they are.

    They still pass by the statistics, of which a pass keeps as many tensors as the first one did.
    """
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    before = [(norm, norm.momentum, _count(norm).clone()) for norm in tracking]
    for norm in tracking:
        norm.momentum = 0.0  # the old statistics times 1, the batch's times 0
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum = momentum
            _count(norm).copy_(count)


def _count(norm: Norm) -> Tensor:
    """How many batches a norm that tracks statistics has seen."""
    assert norm.num_batches_tracked is not None
    return norm.num_batches_tracked
