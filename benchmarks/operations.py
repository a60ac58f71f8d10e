"""Where the time of a step goes, by kind of operation."""

from collections.abc import Callable
from typing import Any

import torch
from machine import CPU
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

KINDS = {  # a part of the names of torch's operations; the first that fits counts
    "convolutions, backward": ("convolution_backward", "convolutionbackward", "conv_backward"),
    "convolutions, forward": ("convolution", "conv2d"),
    "batch norms": ("batch_norm",),
    "matrix products": ("mm", "linear", "tensordot", "matmul"),
    "copies and layout": ("copy", "stack", "cat", "clone", "contiguous", "fill", "zero", "empty"),
}
OTHER = "elementwise and other"


def shares(work: Callable[[], Any], device: torch.device = CPU) -> dict[str, float]:
    """Share of a device's time by kind of operation, of one piece of work, largest first.

    On a GPU the time of an operation is that of the kernels that it launched.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as seen:
        work()
    spent: dict[str, float] = {}
    for event in seen.key_averages():
        if event.device_type == DeviceType.CPU:  # kernels are listed once more by themselves
            kind = kind_of(event.key)
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[kind] = spent.get(kind, 0.0) + own
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
