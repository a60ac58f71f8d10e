"""Where the time of a step goes, by kind of operation."""

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

KINDS = {  # a part of the names of torch's operations; the first that fits counts
    "convolutions, backward": ("convolution_backward", "convolutionbackward", "conv_backward"),
    "convolutions, forward": ("convolution", "conv2d"),
    "batch norms": ("batch_norm",),
    "matrix products": ("mm", "linear", "tensordot", "matmul"),
    "copies and layout": ("copy", "stack", "cat", "clone", "contiguous", "fill", "zero", "empty"),
}
OTHER = "elementwise and other"


def shares(work: Callable[[], Any]) -> dict[str, float]:
    """Share of the CPU time of one piece of work by kind of operation, largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    spent: dict[str, float] = {}
    for event in seen.key_averages():
        kind = kind_of(event.key)
        spent[kind] = spent.get(kind, 0.0) + event.self_cpu_time_total
    whole = sum(spent.values())
    return {kind: spent[kind] / whole for kind in sorted(spent, key=lambda kind: -spent[kind])}


def kind_of(name: str) -> str:
    """The kind of an operation.

    >>> kind_of("aten::mkldnn_convolution"), kind_of("aten::convolution_backward")
    ('convolutions, forward', 'convolutions, backward')
    """
    lowered = name.lower()
    kinds = (kind for kind, parts in KINDS.items() if any(part in lowered for part in parts))
    return next(kinds, OTHER)
