"""Residual networks for small images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.models.blocks import ConvNorm, blocks_per_stage, init_fan_out
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, up to the sum; the caller applies the last ReLU.

    The shortcut is a 1×1 convolution with a norm wherever the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride=stride)
        self.second = ConvNorm(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = (
            nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride=stride)
        )

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual branch; the sum with the shortcut comes after it."""
        return self.second.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        total: Tensor = self.second(relu(self.first(x))) + self.shortcut(x)
        return total


class ResNet(StagedNetwork):
    """ResNet with a 3×3 stem and three stages of two-layer blocks; 32×32 images end as 8×8 maps.

    Args:
        depth: 6n + 2, the layers with weights on the longest way.
        widths: channels of the stem and of the three stages.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no ResNet has this depth.

    Source: He et al., CVPR 2016, section 4.2, with projection shortcuts (option B) and the
    widths of Tian et al., ICLR 2020.
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        *,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        blocks = blocks_per_stage("ResNet", depth, besides=2)
        stem, first, second, third = widths
        segments = [
            ActivatedStage(ConvNorm(image[0], stem, 3)),
            _stage(stem, first, blocks, stride=1),
            _stage(first, second, blocks, stride=2),
            _stage(second, third, blocks, stride=2),
        ]
        super().__init__(segments, third, classes=classes, image=image)
        self.arguments = {"depth": depth, "widths": list(widths)}
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier stays as torch draws it."""
        init_fan_out(self)


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> ActivatedStage:
    """Blocks of one width, the first of which changes the shape."""
    first = ResidualBlock(inputs, outputs, stride)
    return ActivatedStage(first, *(ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
