"""DistPro's candidate transforms: attention blocks from a student's map to a teacher's.

Every block narrows the map to min(512, C_t, C_s) channels, multiplies it by a one-channel spatial
attention, resizes it to the teacher's size by nearest neighbour, and widens it to the teacher's
channels. Every convolution but the attention's, and those of ``tokens``, is followed by a batch
norm.

====================  ======================================================================
``2conv``             conv 1 x 1, attention, resize, conv 3 x 3
``3conv``             conv 1 x 1, attention, resize, conv 3 x 3, conv 3 x 3
``complex``           conv 3 x 3, ReLU, attention, conv 3 x 3, ReLU, resize, conv 3 x 3
``tokens``            for the maps of transformers, our design: see `token_transform`
====================  ======================================================================

Where paper and release differ: the paper searches over three transforms on CIFAR-100 but prints
only one sequence (its Fig. 4), which is ``complex``; the release holds all three blocks but builds
pathways from ``complex`` alone. The attention has neither bias nor sigmoid in the release, although
the ReviewKD block that it descends from has both; we keep the release's. So is the initialisation:
normal with variance 2 / (k² C_out), the attention left to PyTorch's default.

Source: Deng et al., DistPro, ECCV 2022, section 3.3 and Fig. 4; layers of the released code.
"""

from math import sqrt

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.distill.token_transform import Neighbours, TokenNorm
from kdbench.errors import UnknownName
from kdbench.models.stages import Stage

WIDEST = 512  # most channels inside a block


class Attention(nn.Module):
    """Multiplies a (B, C, H, W) map by a one-channel map that a 1 x 1 convolution of it gives."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """A map of the same shape."""
        attended: Tensor = maps * self.score(maps)
        return attended


class Resize(nn.Module):
    """Nearest-neighbour resizing to a fixed (H, W)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, *size); the map itself where it has that size already."""
        if tuple(maps.shape[-2:]) == self.size:
            return maps
        return F.interpolate(maps, self.size, mode="nearest")


def normed(channels: int, to: int, kernel: int) -> list[nn.Module]:
    """A convolution that keeps the size, and its batch norm."""
    layer = nn.Conv2d(channels, to, kernel, padding=kernel // 2, bias=False)
    nn.init.normal_(layer.weight, std=sqrt(2 / (kernel * kernel * to)))
    return [layer, nn.BatchNorm2d(to)]


def two_convolutions(source: int, middle: int, target: Stage) -> list[nn.Module]:
    """The layers of ``2conv``."""
    return [
        *normed(source, middle, 1),
        Attention(middle),
        Resize(target.size),
        *normed(middle, target.channels, 3),
    ]


def three_convolutions(source: int, middle: int, target: Stage) -> list[nn.Module]:
    """The layers of ``3conv``."""
    return [
        *normed(source, middle, 1),
        Attention(middle),
        Resize(target.size),
        *normed(middle, middle, 3),
        *normed(middle, target.channels, 3),
    ]


def complex_attention(source: int, middle: int, target: Stage) -> list[nn.Module]:
    """The layers of ``complex``, the only one that the paper prints."""
    return [
        *normed(source, middle, 3),
        nn.ReLU(),
        Attention(middle),
        *normed(middle, middle, 3),
        nn.ReLU(),
        Resize(target.size),
        *normed(middle, target.channels, 3),
    ]


def tokens(source: int, middle: int, target: Stage) -> list[nn.Module]:
    """The layers of ``tokens``; see `kdbench.distill.token_transform`."""
    return [
        TokenNorm(source),
        nn.Conv2d(source, middle, 1),
        nn.GELU(),
        Attention(middle),
        Neighbours(middle),
        Resize(target.size),
        nn.Conv2d(middle, target.channels, 1),
    ]


TRANSFORMS = {
    "2conv": two_convolutions,
    "3conv": three_convolutions,
    "complex": complex_attention,
    "tokens": tokens,
}


def transform(kind: str, source: Stage, target: Stage) -> nn.Sequential:
    """Build one block.

    Args:
        kind: a key of `TRANSFORMS`.
        source: the student's stage, which gives C_s.
        target: the teacher's stage, which gives C_t and (H_t, W_t).

    Returns:
        A module from (B, C_s, H_s, W_s) to (B, C_t, H_t, W_t).

    Raises:
        UnknownName: there is no such block.
    """
    if kind not in TRANSFORMS:
        raise UnknownName("transform", kind, TRANSFORMS, where="pathways, transforms")
    middle = min(WIDEST, target.channels, source.channels)
    return nn.Sequential(*TRANSFORMS[kind](source.channels, middle, target))
