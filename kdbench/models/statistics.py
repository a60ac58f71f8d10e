"""Batch norms that look at a batch without remembering it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_statistics(*modules: nn.Module) -> Iterator[None]:
    """Leave every batch norm's buffers untouched for as long as the context lasts.

    Norms in train mode go on normalising with the batch's own mean and variance, norms in eval
    mode with the running ones; no buffer is written, in place or otherwise, which is also what
    forward-mode differentiation (`torch.func.jvp`) asks for. Contexts nest, and what a norm was
    set to before comes back on the way out, on exceptions too.

    Args:
        modules: roots; all batch norms inside them are meant.
    """
    norms = [n for module in modules for n in module.modules() if isinstance(n, _BatchNorm)]
    before = {norm: norm.track_running_stats for norm in norms}
    try:
        for norm in before:
            norm.track_running_stats = False
        yield
    finally:
        for norm, tracked in before.items():
            norm.track_running_stats = tracked
