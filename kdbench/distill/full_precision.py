"""Formulas that need the range of float32, whatever the networks compute in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def full_precision(formula: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Give a formula its floating-point tensors in float32 or wider, and switch autocast off.

    Sums over thousands of products, differences of nearly equal maps and exponentials lose all
    meaning in bfloat16; autocast would turn the products back even if their factors were widened.
    """

    @wraps(formula)
    def wide(*given: P.args, **named: P.kwargs) -> Tensor:
        kind = next(x.device.type for x in given if isinstance(x, Tensor))
        with torch.autocast(kind, enabled=False):
            return formula(
                *(_wide(value) for value in given),  # type: ignore[arg-type]
                **{key: _wide(value) for key, value in named.items()},  # type: ignore[arg-type]
            )

    return wide


def _wide(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value
