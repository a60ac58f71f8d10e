"""What a network costs: parameters and operations, by two stated conventions.

`multiply_adds`: those of convolutions and linear layers and, in transformers, of the two products
of attention (queries with keys, shares with values). Nothing else counts, as in most of the
field's tables, which call them FLOPs or MACs.

`flops_with_elements`: the same, plus one for every output element of a batch norm and one for every
output element of a ReLU or a ReLU6. Layer norms, GELUs, sums and poolings stay free.
SBS must have counted so: DenseNet-BC(100, 12) has 287.96 million multiply-adds, and 296.5 million
with elements, where the paper prints 296.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from kdbench.engine.multiply_adds import MultiplyAdds

CLAMPS = {"hardtanh", "clamp", "clamp_min"}  # ReLU6 and hand-made ReLUs, where the lower bound is 0


class Operations(NamedTuple):
    """What one forward pass of one image does.

    Attributes:
        multiply_adds: of convolutions, linear layers and attention.
        elements: outputs of batch norms, ReLUs and ReLU6s.
    """

    multiply_adds: int
    elements: int


def parameters(network: nn.Module) -> int:
    """Number of trainable numbers; batch norms count their scale and shift."""
    return sum(p.numel() for p in network.parameters())


def operations(network: nn.Module, image: Sequence[int]) -> Operations:
    """Count one forward pass in eval mode for one (C, H, W) image, without computing a number."""
    ghost = _ghost(network)
    dtype = next(ghost.parameters()).dtype
    with MultiplyAdds() as products, _Elements() as elements, torch.no_grad():
        ghost(torch.empty(1, *image, dtype=dtype, device="meta"))
    return Operations(products.macs, elements.total)


def multiply_adds(network: nn.Module, image: Sequence[int]) -> int:
    """Multiply-adds of convolutions, linear layers and attention for one (C, H, W) image."""
    return operations(network, image).multiply_adds


def flops_with_elements(network: nn.Module, image: Sequence[int]) -> int:
    """Multiply-adds, plus one per output element of batch norms and ReLUs, for one image."""
    return sum(operations(network, image))


class _Elements(TorchDispatchMode):
    """Counts the outputs of batch norms and ReLUs, however they were written in Python.

    Their shape is that of what comes in, which is handed back: on the meta device torch would take
    such functions apart in Python, slower than it computes them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__.removesuffix("_")
        bounded = name in CLAMPS and _from_zero(args) and _of_one_image(args[0])
        if name == "relu" or "batch_norm" in name or bounded:
            same: Tensor = args[0]
            self.total += same.numel()
            return (same, *same.new_empty(2, 0)) if "batch_norm" in name else same
        return func(*args, **(kwargs or {}))


def _from_zero(args: tuple[Any, ...]) -> bool:
    """Whether a clamp's lower bound, its second argument, is 0; torch hands it over by position."""
    low = args[1] if len(args) > 1 else None
    return isinstance(low, int | float) and low == 0


def _of_one_image(tensor: Tensor) -> bool:
    """Whether its first dimension is that of one image.

    Bilinear resizing, which torch takes apart once it has trained, clamps rows of indices.
    """
    return tensor.dim() > 1 and len(tensor) == 1


def _ghost(network: nn.Module) -> nn.Module:
    """A copy in eval mode that has shapes in place of numbers; nothing large is copied."""
    memo: dict[int, Tensor] = {}
    for tensor in chain(network.parameters(), network.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        learned = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if learned else empty
    return deepcopy(network, memo).eval()
