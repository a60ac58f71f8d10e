"""DenseNet: every layer reads all maps that the layers before it in its block made."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.errors import BadValue
from kdbench.models.blocks import conv, init_fan_out
from kdbench.models.segments import LinearStage, PreActivatedStage, Segment
from kdbench.models.stages import StagedNetwork

DENSE_BLOCKS = 3
BOTTLENECK = 4  # channels between the two convolutions, in units of the growth


class DenseLayer(nn.Module):
    """Norm, ReLU and 3×3 convolution, whose output is appended to the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, inputs + growth, H, W), the input's channels first."""
        return torch.cat([x, self.conv1(relu(self.norm1(x)))], 1)


class BottleneckLayer(nn.Module):
    """Norm, ReLU and 1×1 convolution, then norm, ReLU and 3×3 convolution, appended to the input.

    `norm1` and `norm2` see exactly what `conv1` and `conv2` read.
    """

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, BOTTLENECK * growth, 1)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.conv2 = conv(BOTTLENECK * growth, growth, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, inputs + growth, H, W), the input's channels first."""
        squeezed = self.conv1(relu(self.norm1(x)))
        return torch.cat([x, self.conv2(relu(self.norm2(squeezed)))], 1)


class DenseNet(StagedNetwork):
    """DenseNet with three dense blocks of equally many layers; 32×32 images end as 8×8 maps.

    A stage is a dense block. `blocks` and `out` are its running concatenation; the norm that ends
    it, and makes `pre`, is the one that the transition or the classifier applies. The 1×1
    convolution and the average pooling of the transition open the next stage.

    Args:
        depth: layers with weights on the longest way. What is left over when the layers are dealt
            out to the dense blocks is dropped: with bottlenecks, depth 50 has
            ⌊(50 - 4) / 6⌋ = 7 layers a block, so 46 in truth.
        growth: channels that every layer adds.
        bottleneck: whether layers start with a 1×1 convolution (DenseNet-B).
        compression: share of the channels that a transition keeps, rounded down.
        stem: channels of the first convolution; None means twice the growth.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: a depth that leaves dense blocks empty, or a growth below 1.

    Source: Huang et al., CVPR 2017, section 4.2; the rounding of depths is that of Veit's
    densenet-pytorch.
    """

    def __init__(
        self,
        depth: int,
        growth: int,
        *,
        bottleneck: bool = True,
        compression: float = 0.5,
        stem: int | None = None,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        layer = BottleneckLayer if bottleneck else DenseLayer
        per_layer = 2 if bottleneck else 1
        layers = (depth - 4) // (DENSE_BLOCKS * per_layer)
        if layers < 1:
            least = 4 + DENSE_BLOCKS * per_layer
            raise BadValue("depth of a DenseNet", depth, f"at least {least}")
        if growth < 1:
            raise BadValue("growth of a DenseNet", growth, "at least 1")
        channels = 2 * growth if stem is None else stem
        segments: list[Segment] = [LinearStage(conv(image[0], channels, 3))]
        for block in range(DENSE_BLOCKS):
            entry = None
            if block > 0:
                entry, channels = _transition(channels, compression)
            inputs = range(channels, channels + layers * growth, growth)
            channels += layers * growth
            norm = nn.BatchNorm2d(channels)
            segments.append(
                PreActivatedStage(*(layer(c, growth) for c in inputs), norm=norm, entry=entry)
            )
        super().__init__(segments, channels, classes=classes, image=image)
        self.arguments = {
            "depth": depth,
            "growth": growth,
            "bottleneck": bottleneck,
            "compression": compression,
            "stem": stem,
        }
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier's bias starts at 0."""
        init_fan_out(self)
        nn.init.zeros_(self.classifier.bias)


def _transition(channels: int, compression: float) -> tuple[nn.Module, int]:
    """What opens the next stage, and how many channels it keeps; its norm ended the last stage."""
    compressed = int(channels * compression)
    return nn.Sequential(conv(channels, compressed, 1), nn.AvgPool2d(2)), compressed
