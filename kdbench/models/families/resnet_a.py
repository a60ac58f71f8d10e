"""Residual networks for small images whose shortcuts have no parameters (option A)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from kdbench.models.blocks import ConvNorm, blocks_per_stage, init_fan_out
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

WIDTHS = (16, 16, 32, 64)


def padded_shortcut(x: Tensor, channels: int, stride: int) -> Tensor:
    """Every `stride`-th pixel of every row and column, with channels of zeros on both sides.

    Args:
        x: (B, C, H, W), C at most `channels`.
        channels: of the result, half of the new ones before and half behind the old ones.
        stride: 1 or 2.

    Returns:
        (B, channels, H / stride, W / stride).
    """
    half = (channels - x.shape[1]) // 2
    return pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, half, channels - x.shape[1] - half))


class PaddedBlock(nn.Module):
    """Two 3×3 convolutions beside a padded shortcut, up to the sum; the caller applies the ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride=stride)
        self.second = ConvNorm(outputs, outputs, 3)
        self.outputs, self.stride = outputs, stride

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that ends the residual branch; the sum with the shortcut comes after it."""
        return self.second.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        branch: Tensor = self.second(relu(self.first(x)))
        return branch + padded_shortcut(x, self.outputs, self.stride)


class PaddedResNet(StagedNetwork):
    """ResNet with a 3×3 stem and three stages of two-layer blocks; 32×32 images end as 8×8 maps.

    The networks of the first table of results on CIFAR-10, as which most public checkpoints of
    CIFAR-10 come; `resnet.ResNet` has convolutions as shortcuts where the shape changes.

    Args:
        depth: 6n + 2, the layers with weights on the longest way.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no ResNet has this depth.

    Source: He et al., CVPR 2016, section 4.2 (option A).
    """

    def __init__(
        self, depth: int, *, classes: int = 100, image: Sequence[int] = (3, 32, 32)
    ) -> None:
        blocks = blocks_per_stage("ResNet", depth, besides=2)
        segments, inputs = [ActivatedStage(ConvNorm(image[0], WIDTHS[0], 3))], WIDTHS[0]
        for stage, width in enumerate(WIDTHS[1:]):
            first = PaddedBlock(inputs, width, 1 if stage == 0 else 2)
            others = (PaddedBlock(width, width, 1) for _ in range(blocks - 1))
            segments.append(ActivatedStage(first, *others))
            inputs = width
        super().__init__(segments, inputs, classes=classes, image=image)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier stays as torch draws it."""
        init_fan_out(self)
