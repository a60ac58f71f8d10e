"""Convolutions that bring a student's map to the shape of a teacher's."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.models.stages import Stage

WIDEST = 9  # side of the largest kernel that only serves to shrink a map


def resizing(student: Stage, teacher: Stage) -> nn.Module:
    """A convolution from the student's shape to the teacher's, as FitNets' public code chooses it.

    Half the size: 3×3 of stride 2. Twice the size: transposed 4×4 of stride 2. Otherwise, down to
    the teacher's size, a kernel as large as the difference plus 1. What that code refuses, and
    kernels larger than 9×9 (a size ratio beyond any pair of the field's tables), is a 1×1
    convolution after an interpolation to the nearest pixels.

    Args:
        student: channels and size of the given maps.
        teacher: of the wanted ones.
    """
    (h, w), (th, tw) = student.size, teacher.size
    channels = student.channels, teacher.channels
    if (h, w) == (2 * th, 2 * tw):
        return nn.Conv2d(*channels, 3, stride=2, padding=1)
    if (2 * h, 2 * w) == (th, tw):
        return nn.ConvTranspose2d(*channels, 4, stride=2, padding=1)
    kernel = 1 + h - th, 1 + w - tw
    if h >= th and w >= tw and max(kernel) <= WIDEST:
        return nn.Conv2d(*channels, kernel)
    return nn.Sequential(Nearest((th, tw)), nn.Conv2d(*channels, 1))


class Nearest(nn.Module):
    """(B, C, H, W) maps interpolated to a size by the nearest pixel."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, *size)."""
        return F.interpolate(maps, self.size, mode="nearest")


class Regressor(nn.Module):
    """`resizing`, a batch norm and, unless told otherwise, a ReLU.

    Args:
        student: shape of the given maps.
        teacher: shape of the wanted ones.
        rectify: whether a ReLU follows: yes for maps after a ReLU, no for those before one.
    """

    def __init__(self, student: Stage, teacher: Stage, *, rectify: bool = True) -> None:
        super().__init__()
        self.conv = resizing(student, teacher)
        self.norm = nn.BatchNorm2d(teacher.channels)
        self.rectify = rectify

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C_s, H, W) of the student -> (B, C_t, H_t, W_t)."""
        regressed: Tensor = self.norm(self.conv(maps))
        return F.relu(regressed) if self.rectify else regressed
