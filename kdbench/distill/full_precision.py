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
    def wide(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(x.device.type for x in args if isinstance(x, Tensor))
        with torch.autocast(device, enabled=False):
            return formula(
                *(_widened(value) for value in args),
                **{key: _widened(value) for key, value in kwargs.items()},
            )

    return wide


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.promote_types(value.dtype, torch.float32))
    return value
