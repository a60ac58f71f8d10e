"""The machine that a benchmark ran on, the peak of its convolutions, and the results file."""

import json
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from kdbench.engine.precision import Precision

CPU = torch.device("cpu")
RESULTS = Path(__file__).parent / "results"
PEAK_SHAPES = ((16, 32), (32, 32), (64, 16), (128, 8), (256, 8))  # channels and side of the maps
PEAK_REPEATS = 5


def about(threads: int) -> dict[str, Any]:
    """Machine and versions, as the results file holds them."""
    cuda = torch.cuda.is_available()
    return {
        "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def no_bfloat16(device: torch.device) -> str:
    """Why bf16 is not measured on a device; "" where it is."""
    if not Precision("bf16", True, device).warning:
        return ""
    return "bf16 is left out: this CPU has no bfloat16 arithmetic and would emulate it"


def peak(
    kind: torch.dtype, layout: torch.memory_format, batch: int, device: torch.device = CPU
) -> float:
    """Multiply-adds per second of the fastest 3 x 3 convolution, forward and backward."""
    shapes = PEAK_SHAPES
    return max(_speed(channels, side, batch, kind, layout, device) for channels, side in shapes)


def wait(device: torch.device) -> None:
    """Until a GPU has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def write(name: str, content: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write results/<name>.json, which `performance_page.py` reads; to five digits."""
    file = (folder or RESULTS) / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", _on_one_line, json.dumps(rounded(content), indent=1))
    file.write_text(f"{text}\n", encoding="utf-8")
    return file


def rounded(value: Any) -> Any:
    """The same with every float to five significant digits; no clock is better."""
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _on_one_line(found: re.Match[str]) -> str:
    """A list of numbers or texts."""
    return "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]"


def _speed(
    channels: int,
    side: int,
    batch: int,
    kind: torch.dtype,
    layout: torch.memory_format,
    device: torch.device,
) -> float:
    """Multiply-adds per second of one convolution."""
    maps = torch.randn(batch, channels, side, side, device=device, dtype=kind)
    maps = maps.to(memory_format=layout).requires_grad_()
    layer: Any = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    layer = layer.to(device, kind).to(memory_format=layout)

    def seconds() -> float:
        wait(device)
        begun = perf_counter()
        layer(maps).sum().backward()
        wait(device)
        return perf_counter() - begun

    seconds()
    best = min(seconds() for _ in range(PEAK_REPEATS))
    return float(3 * 9 * channels**2 * side**2 * batch / best)


def _processor() -> str:
    """The CPU's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
