"""Number formats, memory formats and threads of a run, as its specification says."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from kdbench.errors import BadValue
from kdbench.store.parts import Runtime

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Precision:
    """How a run computes.

    Attributes:
        name: "float32", or "bf16" for autocast with float32 weights.
        channels_last: memory format of networks and images.
        device: where it computes.
    """

    name: str
    channels_last: bool
    device: torch.device

    def __post_init__(self) -> None:
        if self.name not in ("float32", "bf16"):
            raise BadValue("precision", self.name, "'float32' or 'bf16'")

    @property
    def memory_format(self) -> torch.memory_format:
        """Format for 4-dimensional tensors."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[None]:
        """Context for a forward pass."""
        if self.name == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, module: M) -> M:
        """Move a module to the device and into the memory format; returns it."""
        return module.to(self.device).to(memory_format=self.memory_format)


def prepare_process(runtime: Runtime, device: torch.device) -> Precision:
    """Set threads and determinism for this process as the run's specification says.

    Bits depend on the number of CPU threads, so it is part of a run's identity.
    """
    torch.set_num_threads(runtime.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS is not deterministic
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return Precision(runtime.precision, runtime.channels_last, device)
