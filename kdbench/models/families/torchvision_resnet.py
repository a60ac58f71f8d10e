"""Residual networks for large images, made of torchvision's blocks."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models import resnet as torchvision

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, init_fan_out
from kdbench.models.segments import ActivatedStage, Segment
from kdbench.models.stages import StagedNetwork


class BasicBlock(torchvision.BasicBlock):  # type: ignore[misc]
    """Torchvision's block of two 3×3 convolutions, up to the sum; the caller applies its ReLU."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual branch; the sum with the shortcut comes after it."""
        norm: nn.BatchNorm2d = self.bn2
        return norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        branch: Tensor = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return branch + (x if self.downsample is None else self.downsample(x))


class Bottleneck(torchvision.Bottleneck):  # type: ignore[misc]
    """Torchvision's block of three convolutions, up to the sum; the 3×3 one has the stride."""

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual branch; the sum with the shortcut comes after it."""
        norm: nn.BatchNorm2d = self.bn3
        return norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        middle = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))
        branch: Tensor = self.bn3(self.conv3(middle))
        return branch + (x if self.downsample is None else self.downsample(x))


# By depth. ResNet-10, which torchvision does not have, is for scale smoke.
LAYERS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], list[int]]] = {
    10: (BasicBlock, [1, 1, 1, 1]),
    18: (BasicBlock, [2, 2, 2, 2]),
    34: (BasicBlock, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
    101: (Bottleneck, [3, 4, 23, 3]),
}


class TorchvisionResNet(StagedNetwork):
    """ResNet with a 7×7 stem of stride 2 and four stages; 224×224 images end as 7×7 maps.

    The max pooling after the stem belongs to stage 1, so that the stem shows its own map.

    Args:
        depth: 10, 18, 34, 50 or 101.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no ResNet has this depth.

    Source: He et al., CVPR 2016, table 1, with the stride of a bottleneck at its 3×3 convolution,
    as torchvision has it.
    """

    def __init__(
        self, depth: int, *, classes: int = 1000, image: Sequence[int] = (3, 224, 224)
    ) -> None:
        segments, width = encoder(depth, image[0])
        super().__init__(segments, width, classes=classes, image=image)


def encoder(depth: int, channels: int) -> tuple[list[Segment], int]:
    """The stages of a ResNet for images of so many channels, and the channels of its last map.

    Raises:
        BadValue: no ResNet has this depth.
    """
    if depth not in LAYERS:
        nearest = min(LAYERS, key=lambda known: abs(known - depth))
        expected = f"one of {', '.join(map(str, LAYERS))}"
        raise BadValue("depth of a ResNet", depth, expected, f"the nearest is {nearest}")
    block, layers = LAYERS[depth]
    built = torchvision.ResNet(block, layers, num_classes=1)
    stem = ConvNorm(channels, built.bn1.num_features, 7, stride=2)
    init_fan_out(stem)
    segments: list[Segment] = [
        ActivatedStage(stem),
        ActivatedStage(*built.layer1, entry=built.maxpool),
        *(ActivatedStage(*layer) for layer in (built.layer2, built.layer3, built.layer4)),
    ]
    return segments, built.fc.in_features
