"""GoogLeNet for small images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

STEM = 192
# Of every inception block: channels of the 1×1 branch; of the 3×3 branch, squeezed and put out;
# of the 5×5 branch, squeezed and put out; of the pooled branch.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


class Inception(nn.Module):
    """Four branches side by side, up to their last norms; the caller applies the last ReLU.

    The 5×5 branch is two 3×3 convolutions in a row, which see as far; each is followed by a norm.

    Args:
        inputs: channels of the input.
        one: channels of the 1×1 branch.
        squeeze3: channels before the 3×3 convolution.
        three: channels of the 3×3 branch.
        squeeze5: channels before the two 3×3 convolutions that stand for one of 5×5.
        five: channels of that branch.
        pooled: channels of the branch that starts with a max pooling.
    """

    def __init__(
        self,
        inputs: int,
        one: int,
        squeeze3: int,
        three: int,
        squeeze5: int,
        five: int,
        pooled: int,
    ) -> None:
        super().__init__()
        self.outputs = one + three + five + pooled
        self.one = _norm(inputs, one, 1)
        self.three = nn.Sequential(_norm(inputs, squeeze3, 1), nn.ReLU(), _norm(squeeze3, three, 3))
        self.five = nn.Sequential(
            _norm(inputs, squeeze5, 1),
            nn.ReLU(),
            _norm(squeeze5, five, 3),
            nn.ReLU(),
            _norm(five, five, 3),
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _norm(inputs, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H, W)."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1)


class GoogLeNet(StagedNetwork):
    """GoogLeNet with a 3×3 stem that keeps the size; 32×32 images end as 8×8 maps.

    Stages hold the blocks 3a-3b, 4a-4e and 5a-5b of the paper, with a pooling before the last two.
    Every convolution has a bias and a batch norm; there are no auxiliary classifiers and no
    dropout. The 5×5 convolutions of the paper are two of 3×3, and the stem is one convolution:
    both as in the public code for CIFAR that the field copies.

    Args:
        width: factor on all channels; products are rounded.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: a width that leaves a branch without channels.

    Source: Szegedy et al., CVPR 2015, table 1, as changed for small images by K. Liu's
    pytorch-cifar.
    """

    def __init__(
        self,
        width: float = 1.0,
        *,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        if round(16 * width) < 1:
            raise BadValue("width of a GoogLeNet", width, "more than 1/32")
        channels = round(STEM * width)
        segments = [ActivatedStage(_norm(image[0], channels, 3))]
        for stage, branches in enumerate(STAGES):
            blocks = []
            for block in branches:
                blocks.append(Inception(channels, *(round(c * width) for c in block)))
                channels = blocks[-1].outputs
            pool = nn.MaxPool2d(3, stride=2, padding=1) if stage > 0 else None
            segments.append(ActivatedStage(*blocks, entry=pool))
        super().__init__(segments, channels, classes=classes, image=image)


def _norm(inputs: int, outputs: int, kernel: int) -> ConvNorm:
    """Convolution with bias, and its norm."""
    return ConvNorm(inputs, outputs, kernel, bias=True)
