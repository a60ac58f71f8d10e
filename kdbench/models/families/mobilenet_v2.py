"""MobileNet-v2 for small images: thin linear maps, widened inside each unit."""

from collections.abc import Sequence
from itertools import chain, pairwise

from torch import Tensor, nn

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, conv, init_fan_out, init_small
from kdbench.models.segments import ActivatedStage, LinearStage
from kdbench.models.stages import StagedNetwork

STEM, HEAD = 32, 1280
EXPANSION = 6  # how many times wider units are inside, the first one apart
CHANNELS = (16, 24, 32, 64, 96, 160, 320)  # of the seven groups
STRIDES = (1, 1, 2, 2, 1, 2, 1)
REPEATS = (1, 2, 3, 4, 3, 3, 1)
ENDS = (0, 2, 3, 5, 7)  # stage i holds the groups from ENDS[i - 1] up to ENDS[i]


class InvertedResidual(nn.Module):
    """1×1 convolution that widens, depthwise 3×3, 1×1 back to thin maps without a ReLU.

    The input is added where shape and stride allow.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        stride: of the depthwise convolution.
        expansion: how many times wider the middle is; 1 keeps the first convolution too.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.layers = nn.Sequential(
            conv(inputs, middle, 1),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            conv(middle, middle, 3, stride=stride, groups=middle),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            conv(middle, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        branch: Tensor = self.layers(x)
        return x + branch if self.adds else branch


class MobileNetV2(StagedNetwork):
    """MobileNet-v2 with ReLU in place of ReLU6; 32×32 images end as 2×2 maps, 4×4 with stride 1.

    Stages end where the code of Tian et al. takes features: after the groups of 24, 32, 96 and
    320 channels. Their maps are linear: no ReLU follows.

    Args:
        width: factor on all channels; products are rounded down. The head grows with it and
            never shrinks.
        repeats: units of each of the seven groups, at least one.
        stride: of the stem; 1 keeps the size of small images.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: a width that leaves no channels, or repeats that are not seven positive numbers.

    Source: Sandler et al., CVPR 2018, table 2, as changed for small images by Tian et al., ICLR
    2020: stride 1 in the group of 24 channels, no dropout.
    """

    def __init__(
        self,
        width: float,
        *,
        repeats: Sequence[int] = REPEATS,
        stride: int = 2,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        if int(CHANNELS[0] * width) < 1:
            raise BadValue("width of a MobileNet-v2", width, f"at least 1/{CHANNELS[0]}")
        if len(repeats) != len(CHANNELS) or min(repeats) < 1:
            expected = f"{len(CHANNELS)} numbers, each at least 1"
            raise BadValue("repeats of a MobileNet-v2", list(repeats), expected)
        widths = [int(c * width) for c in (STEM, *CHANNELS)]
        groups = [_group(i, *shape, repeats[i]) for i, shape in enumerate(pairwise(widths))]
        segments = [
            ActivatedStage(ConvNorm(image[0], widths[0], 3, stride=stride)),
            *(LinearStage(*chain(*groups[start:end])) for start, end in pairwise(ENDS)),
        ]
        head = int(HEAD * max(width, 1.0))
        neck = nn.Sequential(ConvNorm(widths[-1], head, 1), nn.ReLU())
        super().__init__(segments, head, classes=classes, image=image, neck=neck)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out, the classifier with small weights and no bias."""
        init_fan_out(self)
        init_small(self.classifier)


def _group(group: int, inputs: int, outputs: int, units: int) -> list[InvertedResidual]:
    """Units of one width, the first of which may halve the size."""
    expansion = 1 if group == 0 else EXPANSION
    first = InvertedResidual(inputs, outputs, STRIDES[group], expansion)
    others = (InvertedResidual(outputs, outputs, 1, expansion) for _ in range(units - 1))
    return [first, *others]
