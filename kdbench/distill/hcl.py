"""The hierarchical context loss, the distance of ReviewKD and of DistPro's CIFAR pathways."""

import torch
from torch import Tensor

from kdbench.distill.matching import averaged

LEVELS = (4, 2, 1)  # sides of the pooled maps; each divides the one before


def hcl(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two maps, and of the same maps averaged over ever larger cells.

    The full map counts 1; the map pooled to 4 x 4, 2 x 2 and 1 x 1 cells counts half of the one
    before; levels that are not smaller than the map are left out. The sum is divided by the
    weights.

    Args:
        student: (B, C, H, W) map, already of the teacher's shape.
        teacher: (B, C, H, W) map.

    Returns:
        Scalar, float32 or wider whatever the maps' precision; 0 when the maps agree.

    Raises:
        ValueError: the two shapes differ.

    Source: Chen et al., CVPR 2021 (ReviewKD), section 3.4; the weights are those of its code.
    """
    if student.shape != teacher.shape:
        shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        raise ValueError(f"hcl: the two maps differ in shape: {shapes}")
    dtype = torch.promote_types(student.dtype, torch.float32)
    # Averaging is linear: pooling the difference is the difference of the pooled maps.
    gap = student.to(dtype) - teacher.to(dtype)
    total, weight, weights = gap.square().mean(), 1.0, 1.0
    for level in LEVELS:
        if level >= min(student.shape[-2:]):
            continue
        pooled = shrink(gap, level)
        weight /= 2
        weights += weight
        total = total + weight * pooled.square().mean()
        if divides(level, gap):  # then the cells are equal, and coarser levels can start from them
            gap = pooled
    return total / weights


def shrink(maps: Tensor, level: int) -> Tensor:
    """Average (B, C, H, W) maps over `level` x `level` cells that cover them."""
    return averaged(maps, (level, level))


def divides(level: int, maps: Tensor) -> bool:
    """Whether `level` x `level` cells of equal size cover the maps."""
    return maps.shape[-2] % level == 0 and maps.shape[-1] % level == 0
