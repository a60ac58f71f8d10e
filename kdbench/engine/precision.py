"""Number formats, memory formats and threads of a run, as its specification says."""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from kdbench.errors import BadValue
from kdbench.store.parts import Runtime

M = TypeVar("M", bound=nn.Module)
FORMATS = ("float32", "tf32", "bf16", "fp16")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
AMPERE = (8, 0)  # the compute capability from which on NVIDIA's GPUs have TF32


@dataclass(frozen=True)
class Precision:
    """How a run computes.

    Attributes:
        name: "float32"; "tf32" for float32 whose convolutions round their factors to 10 bits of
            mantissa; "bf16" or "fp16" for autocast with float32 weights. Under "fp16" the loss is
            to be scaled, see `scaler`.
        channels_last: memory format of networks and images.
        device: where it computes.
        decode: "gpu" where the device decodes JPEGs, else "cpu".

    Raises:
        BadValue: another name, or "tf32" or "gpu" on a device that cannot do it.
    """

    name: str
    channels_last: bool
    device: torch.device
    decode: str = "cpu"

    def __post_init__(self) -> None:
        if self.name not in FORMATS:
            raise BadValue("precision", self.name, "'float32', 'tf32', 'bf16' or 'fp16'")
        if self.name == "tf32" and not _has_tf32(self.device):
            expected = f"'float32' or 'bf16' on {self.device.type}"
            raise BadValue("precision", "tf32", expected, "NVIDIA's GPUs have TF32 from Ampere on")
        if self.decode == "gpu" and (self.device.type != "cuda" or torch.version.cuda is None):
            advice = "its pixels are nvJPEG's, which NVIDIA's GPUs alone have"
            raise BadValue("decode", "gpu", f"'cpu' on {self.device.type}", advice)

    @property
    def memory_format(self) -> torch.memory_format:
        """Format for 4-dimensional tensors."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def warning(self) -> str:
        """What a run should say of a format that is far slower than another one; else empty."""
        if self.name != "bf16" or self.device.type != "cpu" or _cpu_has_bfloat16():
            return ""
        return (
            "this CPU has no bfloat16 arithmetic, so that a step may take 40 times as long as in "
            "float32; params.yaml, scales: `precision: float32` for this scale makes other runs, "
            "which do not wait for it"
        )

    def autocast(self) -> AbstractContextManager[None]:
        """Context for a forward pass."""
        if self.name not in AUTOCAST:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=AUTOCAST[self.name])

    def scaler(self) -> torch.amp.GradScaler | None:
        """What scales the loss, and passes over steps whose gradients overflow; under "fp16".

        Its scale follows the gradients, so it belongs into a checkpoint.
        """
        return torch.amp.GradScaler(self.device.type) if self.name == "fp16" else None

    def place(self, module: M) -> M:
        """Move a module to the device and into the memory format; returns it."""
        return module.to(self.device).to(memory_format=self.memory_format)


def prepare_process(runtime: Runtime, device: torch.device) -> Precision:
    """Set threads, determinism and formats for this process as the run's specification says.

    Bits depend on the number of CPU threads, so it is part of a run's identity.

    Raises:
        BadValue: see `Precision`.
    """
    precision = Precision(runtime.precision, runtime.channels_last, device, runtime.decode)
    torch.set_num_threads(runtime.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Deterministic mode fills new memory with NaN, which costs a pass over every new tensor and
    # shows only what reads memory before it is written; no bit of a result depends on it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    set_formats("tf32" if precision.name == "tf32" else "float32")
    return precision


def set_formats(convolutions: str) -> None:
    """Have CUDA compute convolutions in "float32" or "tf32", and matrix products in float32.

    So losses of Gram matrices, distances and exponentials keep their range, and networks, whose
    work is nearly all in convolutions, are as fast as with TF32 throughout.
    """
    # By the old names: once the new `fp32_precision` is set, PyTorch refuses to be asked by the
    # old ones, as `torch.export` does, and a failed export leaves convolutions on other kernels.
    with warnings.catch_warnings(action="ignore"):
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = convolutions == "tf32"


@contextmanager
def float32_convolutions() -> Iterator[None]:
    """Compute without TF32 inside, as differences of nearly equal numbers need it."""
    before = "tf32" if _convolves_in_tf32() else "float32"
    set_formats("float32")
    try:
        yield
    finally:
        set_formats(before)


def _convolves_in_tf32() -> bool:
    """Whether CUDA's convolutions are in TF32 now."""
    with warnings.catch_warnings(action="ignore"):
        return bool(torch.backends.cudnn.allow_tf32)


def _has_tf32(device: torch.device) -> bool:
    """Whether a device multiplies in TF32."""
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    return torch.cuda.get_device_capability(device) >= AMPERE


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16; True where PyTorch does not say."""
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return True if asked is None else bool(asked())
