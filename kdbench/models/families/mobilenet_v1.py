"""MobileNet (v1): depthwise and pointwise convolutions in turn."""

from collections.abc import Sequence

from torch import Tensor, nn

from kdbench.models.blocks import ConvNorm, conv
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

STEM = 32
STAGES = (  # (outputs, stride) of every block
    ((64, 1), (128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), *[(512, 1)] * 5),
    ((1024, 2), (1024, 1)),
)


class DepthwiseSeparable(nn.Module):
    """Depthwise 3×3 and pointwise 1×1 convolution, each with a norm; the caller's ReLU ends it."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(inputs, inputs, 3, stride=stride, groups=inputs),
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            conv(inputs, outputs, 1),
            nn.BatchNorm2d(outputs),
        )

    @property
    def last_norm(self) -> nn.Module:
        """The norm that ends the block."""
        return self.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        normed: Tensor = self.layers(x)
        return normed


class MobileNetV1(StagedNetwork):
    """MobileNet of width 1 with a 3×3 stem of stride 2; 224×224 images end as 7×7 maps.

    Stages end before each change of size and at the last block, where the ImageNet code of OFD
    and ReviewKD takes features. The block of 64 channels, at the stem's size, is the first of
    stage 1. Weights start as torch draws them, as in that code.

    Args:
        classes: number of logits.
        image: (C, H, W).

    Source: Howard et al., arXiv 1704.04861, table 1, with stride 1 in the last block (the table's
    stride 2 there cannot give the 7×7 maps that it states).
    """

    def __init__(self, *, classes: int = 1000, image: Sequence[int] = (3, 224, 224)) -> None:
        segments, channels = [ActivatedStage(ConvNorm(image[0], STEM, 3, stride=2))], STEM
        for stage in STAGES:
            blocks = []
            for outputs, stride in stage:
                blocks.append(DepthwiseSeparable(channels, outputs, stride))
                channels = outputs
            segments.append(ActivatedStage(*blocks))
        super().__init__(segments, channels, classes=classes, image=image)
