"""Which stages of two networks are compared, and at which size."""

import torch.nn.functional as F
from torch import Tensor

from kdbench.models.stages import StagedNetwork


def stage_pairs(student: StagedNetwork, teacher: StagedNetwork) -> list[tuple[int, int]]:
    """Pairs (student's stage, teacher's stage), shallow to deep, stems left out.

    Networks with as many stages are matched stage by stage, as all public code does; of the one
    that has more, the shallowest are left out.

    >>> from types import SimpleNamespace as Net
    >>> stage_pairs(Net(stages=range(4)), Net(stages=range(5)))
    [(1, 2), (2, 3), (3, 4)]
    """
    ours, theirs = len(student.stages), len(teacher.stages)
    count = min(ours, theirs) - 1
    return [(ours - count + k, theirs - count + k) for k in range(count)]


def at_smaller_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The (B, C, H, W) maps of two networks, the larger one averaged over cells to the smaller."""
    height = min(student.shape[2], teacher.shape[2])
    width = min(student.shape[3], teacher.shape[3])
    return averaged(student, (height, width)), averaged(teacher, (height, width))


def averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) maps averaged over cells to a size that is not larger.

    Where the sizes divide, the pooling is the plain one: the backward of adaptive pooling is not
    deterministic on CUDA.
    """
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    if maps.shape[2] % size[0] == 0 and maps.shape[3] % size[1] == 0:
        return F.avg_pool2d(maps, (maps.shape[2] // size[0], maps.shape[3] // size[1]))
    return F.adaptive_avg_pool2d(maps, size)


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) maps averaged down, or interpolated up, to a size."""
    if maps.shape[2] >= size[0] and maps.shape[3] >= size[1]:
        return averaged(maps, size)
    return F.interpolate(maps, size, mode="nearest")
