"""ShuffleNet: grouped pointwise convolutions, and a shuffle that lets the groups talk."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from kdbench.models.blocks import ConvNorm, channel_shuffle
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

GROUPS = 3
STEM = 24


class ShuffleUnit(nn.Module):
    """Bottleneck beside the input, up to the sum; the caller applies the last ReLU.

    With stride 2 the average-pooled input is appended instead of added, and the bottleneck makes
    only the channels that this leaves to make.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, appended ones included.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        computed = outputs - inputs if stride == 2 else outputs
        middle = computed // 4
        self.stride = stride
        self.groups = 1 if inputs == STEM else GROUPS  # the stem has too few channels for groups
        self.squeeze = ConvNorm(inputs, middle, 1, groups=self.groups)
        self.spread = ConvNorm(middle, middle, 3, stride=stride, groups=middle)
        self.expand = ConvNorm(middle, computed, 1, groups=GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / stride, W / stride)."""
        middle = channel_shuffle(relu(self.squeeze(x)), self.groups)
        branch: Tensor = self.expand(relu(self.spread(middle)))
        if self.stride == 1:
            return branch + x
        return torch.cat([branch, avg_pool2d(x, 3, stride=2, padding=1)], 1)


class ShuffleNetV1(StagedNetwork):
    """ShuffleNet 1× with three groups and a 1×1 stem that keeps the size; 32×32 ends as 4×4.

    A ReLU follows the depthwise convolution too, which the paper leaves out: so it is in the code
    that the distillation papers share.

    Args:
        classes: number of logits.
        image: (C, H, W).

    Source: Zhang et al., CVPR 2018, table 1, as changed for small images by Tian et al., ICLR 2020.
    """

    def __init__(self, *, classes: int = 100, image: Sequence[int] = (3, 32, 32)) -> None:
        segments = [
            ActivatedStage(ConvNorm(image[0], STEM, 1)),
            _stage(STEM, 240, units=4),
            _stage(240, 480, units=8),
            _stage(480, 960, units=4),
        ]
        super().__init__(segments, 960, classes=classes, image=image)


def _stage(inputs: int, outputs: int, units: int) -> ActivatedStage:
    """Units of one width, the first of which halves the size."""
    others = (ShuffleUnit(outputs, outputs, stride=1) for _ in range(units - 1))
    return ActivatedStage(ShuffleUnit(inputs, outputs, stride=2), *others)
