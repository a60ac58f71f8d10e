"""Batch norms that take the statistics of the whole batch, whose images lie on several ranks.

PyTorch's `SyncBatchNorm` refuses tensors of a CPU and has no forward mode.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kdbench.engine import ranks


class SynchronisedNorms(TorchFunctionMode):
    """Context in which every batch norm in train mode sees the images of all ranks.

    It takes the place of `torch.nn.functional.batch_norm`, so networks, connectors, gates and a
    teacher on batch statistics need no other classes, copies of them neither.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Every function as it is, but for that one."""
        function = batch_norm if func is F.batch_norm else func
        return function(*args, **(kwargs or {}))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm`, in train mode with statistics over all ranks.

    Every rank has equally many images. One all-reduce brings each rank's mean and variance to all;
    they are put together without a difference of large numbers:

        mean = mean over ranks of mean_r,   var = mean over ranks of var_r + (mean_r - mean)²

    Differentiable as often as one likes, also in forward mode. Statistics are in float32 or wider.

    Source: Chan, Golub & LeVeque, COMPSTAT 1982 (the combination); Ioffe & Szegedy, ICML 2015.
    """
    if not training or ranks.size() == 1:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    wide = input.to(torch.promote_types(input.dtype, torch.float32))
    mean, var = _statistics(wide)
    if running_mean is not None and running_var is not None:
        count = ranks.size() * input.numel() // input.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.detach().to(running_mean.dtype), momentum)
            unbiased = var.detach() * count / (count - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    shape = (-1, *(1 for _ in input.shape[2:]))  # (C, 1, 1) of maps
    return torch.addcmul(shift.view(shape), wide, scale.view(shape)).to(input.dtype)


def _statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over the images and places of all ranks."""
    team = ranks.at_work()
    own = torch.stack(torch.var_mean(maps, [0, *range(2, maps.dim())], correction=0)[::-1])
    before = own.new_zeros((team.rank, *own.shape))
    after = own.new_zeros((team.size - team.rank - 1, *own.shape))
    means, variances = ranks.total(torch.cat([before, own[None], after])).unbind(1)  # (ranks, C)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)
