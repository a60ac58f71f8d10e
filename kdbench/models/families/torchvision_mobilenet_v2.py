"""MobileNet-v2 for large images, made of torchvision's blocks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu6
from torchvision.models.mobilenetv2 import MobileNetV2

from kdbench.models.blocks import ConvNorm, init_fan_out, init_small
from kdbench.models.segments import ActivatedStage, LinearStage
from kdbench.models.stages import StagedNetwork

ENDS = (1, 4, 7, 14, 18)  # stage i holds the parts ENDS[i - 1] up to ENDS[i] of torchvision's list
HEAD = 18  # its place in that list


class ReLU6Stage(ActivatedStage):
    """A ReLU6 follows every block."""

    def activate(self, pre: Tensor) -> Tensor:
        """ReLU6 of the stage's `pre`."""
        return relu6(pre)


class TorchvisionMobileNetV2(StagedNetwork):
    """MobileNet-v2 with a stem of stride 2; 224×224 images end as 7×7 maps of 320 channels.

    Stages end before each change of size and at the last bottleneck: after 24, 32, 96 and 320
    channels, where the field takes features. Their maps are linear: no activation follows. The
    bottleneck of 16 channels, at the stem's size, is the first of stage 1.

    Args:
        dropout: share of the pooled vector that training hides from the classifier.
        classes: number of logits.
        image: (C, H, W).

    Source: Sandler et al., CVPR 2018, table 2; dropout and initialisation as in torchvision.
    """

    def __init__(
        self,
        *,
        dropout: float = 0.2,
        classes: int = 1000,
        image: Sequence[int] = (3, 224, 224),
    ) -> None:
        built = MobileNetV2(num_classes=1)
        parts = list(built.features)
        stem = ConvNorm(image[0], parts[0].out_channels, 3, stride=2)
        init_fan_out(stem)
        bottlenecks = [LinearStage(*parts[start:end]) for start, end in pairwise(ENDS)]
        segments = [ReLU6Stage(stem), *bottlenecks]
        width = built.last_channel
        super().__init__(segments, width, classes=classes, image=image, neck=parts[HEAD])
        init_small(self.classifier)
        self.dropout = nn.Dropout(dropout)

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled vector before the dropout, (B, D), and logits (B, classes)."""
        pooled = self.neck(x).mean((2, 3))
        return pooled, self.classifier(self.dropout(pooled))
