"""The residual networks made for ImageNet, with a stem for small images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, init_fan_out
from kdbench.models.families.resnet import ResidualBlock
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

WIDTHS = (64, 128, 256, 512)
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BOTTLENECKS = (50,)  # depths whose blocks have three convolutions


class BottleneckBlock(nn.Module):
    """1×1, 3×3 and 1×1 convolution beside a shortcut, up to the sum; the caller applies the ReLU.

    The stride is the 3×3 convolution's. The shortcut is a 1×1 convolution with a norm wherever
    the shape changes.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, four times those between the convolutions.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = outputs // 4
        self.first = ConvNorm(inputs, middle, 1)
        self.second = ConvNorm(middle, middle, 3, stride=stride)
        self.third = ConvNorm(middle, outputs, 1)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride=stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual branch; the sum with the shortcut comes after it."""
        return self.third.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        middle = relu(self.second(relu(self.first(x))))
        total: Tensor = self.third(middle) + self.shortcut(x)
        return total


class CifarResNet(StagedNetwork):
    """ResNet-18, -34 or -50 with a 3×3 stem and no max pooling; 32×32 images end as 4×4 maps.

    Args:
        depth: 18, 34 or 50.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: there is no such depth.

    Source: He et al., CVPR 2016, table 1, as changed for small images by Tian et al., ICLR 2020.
    """

    def __init__(
        self, depth: int, *, classes: int = 100, image: Sequence[int] = (3, 32, 32)
    ) -> None:
        if depth not in BLOCKS:
            expected = f"one of {', '.join(map(str, BLOCKS))}"
            raise BadValue("depth of a ResNet for CIFAR", depth, expected)
        block, factor = (BottleneckBlock, 4) if depth in BOTTLENECKS else (ResidualBlock, 1)
        inputs = WIDTHS[0]
        segments = [ActivatedStage(ConvNorm(image[0], inputs, 3))]
        for stage, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            outputs = width * factor
            first = block(inputs, outputs, 1 if stage == 0 else 2)
            others = (block(outputs, outputs, 1) for _ in range(blocks - 1))
            segments.append(ActivatedStage(first, *others))
            inputs = outputs
        super().__init__(segments, inputs, classes=classes, image=image)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier stays as torch draws it."""
        init_fan_out(self)
