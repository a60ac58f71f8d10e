"""VGG with batch norm for small images."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, init_fan_out, init_small
from kdbench.models.segments import ActivatedStage
from kdbench.models.stages import StagedNetwork

CONVOLUTIONS = {  # of every stage, by depth
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
ROOM = 8  # rows of the smallest map that the last pooling halves


class RoomyPool(nn.Module):
    """Max pooling that leaves small maps alone."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2) where H is 8 or more, else the same."""
        return max_pool2d(x, 2) if x.shape[2] >= ROOM else x


class VGG(StagedNetwork):
    """VGG with batch norm, biased 3×3 convolutions and one linear layer after a global average.

    Maps are halved before stages 1, 2 and 3, and before stage 4 where they are still 8 or more
    rows high: 32×32 images end as 4×4 maps in stages 3 and 4, 64×64 images as 8×8 and 4×4.
    The code of Tian et al. does the same at these two sizes and knows no other. Every convolution
    is a block, in the stem too.

    Args:
        depth: 8, 11, 13, 16 or 19 layers by the papers' count; depth 8 has five convolutions.
        widths: channels of the stem and of the four stages.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no VGG has this depth.

    Source: Simonyan & Zisserman, ICLR 2015, table 1, configurations A, B, D and E; depth 8 and the
    changes for small images are those of Tian et al., ICLR 2020.
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        *,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        if depth not in CONVOLUTIONS:
            raise BadValue("depth of a VGG", depth, f"one of {', '.join(map(str, CONVOLUTIONS))}")
        inputs = (image[0], *widths)
        pools = (None, nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2), RoomyPool())
        segments = [
            _stage(*shape, entry=pool)
            for *shape, pool in zip(inputs, widths, CONVOLUTIONS[depth], pools, strict=False)
        ]
        super().__init__(segments, widths[-1], classes=classes, image=image)
        self.arguments = {"depth": depth, "widths": list(widths)}
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out, the classifier with small weights and no bias."""
        init_fan_out(self)
        init_small(self.classifier)


def _stage(
    inputs: int, outputs: int, convolutions: int, *, entry: nn.Module | None
) -> ActivatedStage:
    """Convolutions of one width after a pooling, if any."""
    channels = (inputs, *[outputs] * (convolutions - 1))
    return ActivatedStage(*(ConvNorm(c, outputs, 3, bias=True) for c in channels), entry=entry)
