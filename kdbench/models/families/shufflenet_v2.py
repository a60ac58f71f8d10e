"""ShuffleNet v2: half of the channels pass each unit untouched."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, channel_shuffle
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

STEM = 24
WIDTHS = {  # channels of the three stages and of the head
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}


class SplitUnit(nn.Module):
    """Half of the channels pass, the other half is convolved; then both are shuffled together.

    The half that passes is the output of a ReLU, so one ReLU after the shuffle, which the caller
    applies to everything, changes the convolved half only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.first = ConvNorm(half, half, 1)
        self.spread = ConvNorm(half, half, 3, groups=half)
        self.second = ConvNorm(half, half, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), already rectified -> (B, C, H, W)."""
        passing, other = x.chunk(2, 1)
        branch = self.second(self.spread(relu(self.first(other))))
        return channel_shuffle(torch.cat([passing, branch], 1), 2)


class DownUnit(nn.Module):
    """Two branches that see all channels and halve the size, shuffled before their last ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            ConvNorm(inputs, inputs, 3, stride=2, groups=inputs), ConvNorm(inputs, half, 1)
        )
        self.right = nn.Sequential(
            ConvNorm(inputs, half, 1),
            nn.ReLU(),
            ConvNorm(half, half, 3, stride=2, groups=half),
            ConvNorm(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W), already rectified -> (B, outputs, H / 2, W / 2)."""
        return channel_shuffle(torch.cat([self.left(x), self.right(x)], 1), 2)


class ShuffleNetV2(StagedNetwork):
    """ShuffleNet v2 whose stem keeps the size; 32×32 images end as 4×4 maps.

    The paper's stem, a 3×3 convolution of stride 2 and a max pooling, would leave 1×1 maps of a
    32×32 image. Tian et al. have a 1×1 stem, Guan et al. (ECCV 2020) a 3×3 one. The latter write
    units that start with a ReLU and end with a norm: the same network, cut elsewhere.

    Args:
        width: factor of the paper's table, which gives the channels of stages and head: 0.5, 1,
            1.5 or 2.
        kernel: side of the stem's convolution, 1 or 3.
        channels: of the three stages, in place of the table's; even numbers.
        units: units of the three stages that only split, after the one that halves the size.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: a width that the table lacks, or channels that cannot be halved.

    Source: Ma et al., ECCV 2018, table 5, as changed for small images by Tian et al., ICLR 2020.
    """

    def __init__(
        self,
        width: float = 1.0,
        *,
        kernel: int = 1,
        channels: Sequence[int] | None = None,
        units: Sequence[int] = (3, 7, 3),
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        if width not in WIDTHS:
            expected = f"one of {', '.join(map(str, WIDTHS))}"
            raise BadValue("width of a ShuffleNet-v2", width, expected)
        *stages, head = WIDTHS[width]
        stages = stages if channels is None else list(channels)
        if any(c % 2 or c < 2 for c in stages):
            raise BadValue("channels of a ShuffleNet-v2", stages, "positive even numbers")
        segments = [
            ActivatedStage(ConvNorm(image[0], STEM, kernel)),
            *(_stage(*shape) for shape in zip([STEM, *stages], stages, units, strict=False)),
        ]
        neck = nn.Sequential(ConvNorm(stages[-1], head, 1), nn.ReLU())
        super().__init__(segments, head, classes=classes, image=image, neck=neck)


def _stage(inputs: int, outputs: int, split: int) -> ActivatedStage:
    """One unit that halves the size, and as many that split as asked."""
    return ActivatedStage(DownUnit(inputs, outputs), *(SplitUnit(outputs) for _ in range(split)))
