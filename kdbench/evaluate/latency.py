"""How long a network takes on the device at hand: one image, and a batch of them.

Ours, not torch.utils.benchmark's timer: that has no upper limit of time, so passes of one second
are timed once, without quartiles, and every measurement begins with uncounted passes of its own.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kdbench.engine.environment import device_name
from kdbench.engine.precision import Precision

BATCHES = (2, 8, 32, 128)  # tried in turn, up to the largest that the budget allows
LEAST, MOST = 3, 100  # repeats
TRIES = 2  # passes of a batch before any counts: the first of a shape is a slow one
SHARE = 0.25  # of the budget, for one image
WARMING = 0.2  # of that share, before any pass counts


def latency(
    network: nn.Module, image: Sequence[int], precision: Precision, *, budget: float = 2.0
) -> dict[str, Any]:
    """Time of a forward pass in eval mode without gradients, at batch 1 and at batch 128.

    After warming up, passes are timed for as long as the budget lasts: at least 3 and at most 100.
    Where 3 passes of 128 images would take too long, a smaller batch stands in, and says so.
    Modes of all modules are as before afterwards.

    Args:
        network: on the precision's device, in its memory format.
        image: (C, H, W).
        precision: number format, memory format and device.
        budget: seconds for everything; exceeded only where a few passes of one image take longer.

    Returns:
        `batch1` and `batch128`, each with `batch` (images per pass; in `batch128` what the
        budget allowed), `median_ms`, `spread_ms` (distance of the quartiles),
        `images_per_second` (by the median) and `repeats`; `device`; `threads` (of the CPU).
    """
    begun = time.perf_counter()
    end = begun + budget
    with _evaluating(network), torch.inference_mode():
        run = _passes(network, 1, image, precision)
        _warm_up(run, begun + WARMING * SHARE * budget)
        one = many = _timed(run, 1, begun + SHARE * budget)
        batch, seconds = 1, one["median_ms"] / 1000
        for larger in BATCHES:
            if larger / batch * seconds * (TRIES + LEAST) > end - time.perf_counter():
                break
            run = _passes(network, larger, image, precision)
            batch, seconds = larger, min(run() for _ in range(TRIES))
        if batch > 1:
            many = _timed(run, batch, end)
    return {
        "batch1": one,
        "batch128": many,
        "device": device_name(precision.device),
        "threads": torch.get_num_threads(),
    }


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode comes back, on exceptions too."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _passes(
    network: nn.Module, batch: int, image: Sequence[int], precision: Precision
) -> Callable[[], float]:
    """A function that runs the network once on a batch of noise and says how many seconds it took.

    Noise comes from a generator of its own; zeros may be faster than images are.
    """
    noise = torch.randn(batch, *image, generator=torch.Generator().manual_seed(0))
    images = noise.to(device=precision.device, memory_format=precision.memory_format)
    seconds = _seconds_cuda if precision.device.type == "cuda" else _seconds

    def once() -> None:
        with precision.autocast():
            network(images)

    return lambda: seconds(once)


def _warm_up(run: Callable[[], float], until: float) -> None:
    """Run once, and again up to a moment of the clock."""
    last = run()
    while time.perf_counter() + last < until:
        last = run()


def _timed(run: Callable[[], float], batch: int, until: float) -> dict[str, Any]:
    """Median and spread of repeated passes up to a moment of the clock."""
    times: list[float] = []
    while len(times) < LEAST or (len(times) < MOST and time.perf_counter() + times[-1] < until):
        times.append(run())
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return {
        "batch": batch,
        "median_ms": 1000 * middle,
        "spread_ms": 1000 * (high - low),
        "images_per_second": batch / middle,
        "repeats": len(times),
    }


def _seconds(once: Callable[[], None]) -> float:
    begun = time.perf_counter()
    once()
    return time.perf_counter() - begun


def _seconds_cuda(once: Callable[[], None]) -> float:
    """By the device's own clock, waiting for it to be idle before and done after."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    once()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000
