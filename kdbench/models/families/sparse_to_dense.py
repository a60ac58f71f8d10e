"""Sparse-to-dense: depths from an image and a few depths, by a ResNet and up-projections."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.exhibits.tasks import DEPTH
from kdbench.models.blocks import ConvNorm, init_fan_out
from kdbench.models.dense import DenseNetwork
from kdbench.models.families.torchvision_resnet import encoder
from kdbench.models.segments import LinearStage

DOUBLINGS = 4  # of the size in the decoder, each of which halves the channels


class UpProjection(nn.Module):
    """Twice the size and half the channels: (B, C, H, W) -> (B, C / 2, 2H, 2W), rectified.

    Source: Laina et al., 3DV 2016, figure 2 (c), with sparse-to-dense's own zeros between pixels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = ConvNorm(channels, half, 5)
        self.leave = ConvNorm(half, half, 3)
        self.project = ConvNorm(channels, half, 5)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        wide = unpool(x)
        return relu(self.leave(relu(self.enter(wide))) + self.project(wide))


def unpool(x: Tensor) -> Tensor:
    """Every pixel at the top left of four, zeros at the others: (B, C, H, W) -> (B, C, 2H, 2W).

    >>> unpool(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    """
    wide = torch.stack((x, torch.zeros_like(x)), dim=-1).flatten(-2)
    return torch.stack((wide, torch.zeros_like(wide)), dim=-2).flatten(-3, -2)


class DepthHead(nn.Conv2d):
    """The 3x3 convolution that gives the depths; it states its widths as a linear layer does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        self.in_features, self.out_features = inputs, outputs


class SparseToDense(DenseNetwork):
    """A ResNet, a convolution that halves its channels, and four up-projections.

    Stages: stem, the ResNet's four, and as stage 5 the halved map, which has a norm and no ReLU.
    The decoder comes after the last stage; its map of a few channels is no stage, and the pooled
    vector is the mean of stage 5. Depths are enlarged to the images' size.

    Args:
        depth: 10, 18, 34, 50 or 101, of the ResNet.
        classes: outputs per pixel; 1 for depths.
        image: (C, H, W): 3 channels are colours, 1 sparse depths, 4 both.

    Source: Ma and Karaman, Sparse-to-dense, ICRA 2018, figure 3, and its code, whose decoder
    "upproj" the paper found best.
    """

    task = DEPTH

    def __init__(
        self, depth: int, *, classes: int = 1, image: Sequence[int] = (4, 228, 304)
    ) -> None:
        segments, inputs = encoder(depth, image[0])
        halved = inputs // 2
        bridge = ConvNorm(inputs, halved, 1)
        decoder = nn.Sequential(*(UpProjection(halved >> step) for step in range(DOUBLINGS)))
        width = halved >> DOUBLINGS
        super().__init__(
            [*segments, LinearStage(bridge)], width, classes=classes, image=image, neck=decoder
        )
        head = DepthHead(width, classes)
        for made in (bridge, decoder, head):
            init_fan_out(made)
        self.classifier = cast(nn.Linear, head)
        self._pooled_width = halved

    @property
    def pooled_width(self) -> int:
        """D, the channels of stage 5."""
        return self._pooled_width

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, D) of stage 5, and depths (B, outputs, h, w) at the decoder's size."""
        return x.mean((2, 3)), self.classifier(self.neck(x))
