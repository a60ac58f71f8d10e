"""PyramidNet: every residual block is a little wider than the one before."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from kdbench.errors import BadValue
from kdbench.models.blocks import ConvNorm, conv, init_fan_out
from kdbench.models.segments import LinearStage, PreActivatedStage
from kdbench.models.stages import StagedNetwork

STEM = 16
STRIDES = (1, 2, 2)


class PyramidBlock(nn.Module):
    """Norm, convolutions with norms and ReLUs between, norm; beside a shortcut without weights.

    No ReLU before the first convolution and none after the sum. The shortcut is average-pooled
    where the stride is 2, and has channels of zeros appended.

    Args:
        inputs: channels of the input.
        channels: of the block; a bottleneck puts out four times as many.
        stride: of the 3×3 convolution (the first one of two).
        bottleneck: three convolutions (1×1, 3×3, 1×1) instead of two (3×3, 3×3).
    """

    def __init__(self, inputs: int, channels: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        self.stride = stride
        self.outputs = 4 * channels if bottleneck else channels
        first = (1, 1) if bottleneck else (3, stride)
        second = (3, stride) if bottleneck else (3, 1)
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, channels, first[0], stride=first[1])
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, second[0], stride=second[1])
        self.norm3 = nn.BatchNorm2d(channels)
        self.conv3 = conv(channels, self.outputs, 1) if bottleneck else None
        self.norm4 = nn.BatchNorm2d(self.outputs) if bottleneck else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> raw sum (B, outputs, H / stride, W / stride)."""
        branch: Tensor = self.conv2(relu(self.norm2(self.conv1(self.norm1(x)))))
        branch = self.norm3(branch)
        if self.conv3 is not None and self.norm4 is not None:
            branch = self.norm4(self.conv3(relu(branch)))
        shortcut = x if self.stride == 1 else avg_pool2d(x, self.stride, ceil_mode=True)
        missing = branch.shape[1] - shortcut.shape[1]
        return branch + pad(shortcut, (0, 0, 0, 0, 0, missing))


class PyramidNet(StagedNetwork):
    """PyramidNet with additive widening; 32×32 images end as 8×8 maps.

    The norm that follows a stage belongs to one branch of the next block, and no ReLU comes before
    that branch's first convolution. So stages 1 and 2 end in raw sums, where pre = post = out and
    `last_norm` is None; the last stage ends in the network's final norm. The authors of OFD read
    the first ReLU inside the next stage's first block, beside the shortcut, instead.

    Args:
        depth: 6n + 2, with bottlenecks 9n + 2.
        alpha: channels by which the last block is wider than the stem, rounding apart.
        bottleneck: kind of block.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no PyramidNet has this depth, or alpha is negative.

    Source: Han et al., CVPR 2017, eq. 3 and figure 6 (d); zero-padded shortcuts as in the code of
    Heo et al., ICCV 2019.
    """

    def __init__(
        self,
        depth: int,
        alpha: int,
        *,
        bottleneck: bool = False,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        step = 9 if bottleneck else 6
        blocks, left_over = divmod(depth - 2, step)
        if left_over or blocks < 1:
            raise BadValue("depth of a PyramidNet", depth, f"{step}n + 2 with n >= 1")
        if alpha < 0:
            raise BadValue("alpha of a PyramidNet", alpha, "at least 0")
        widths = _widths(alpha, len(STRIDES) * blocks)
        inputs, stages = STEM, []
        for stride in STRIDES:
            stage = []
            for place in range(blocks):
                by = stride if place == 0 else 1
                stage.append(PyramidBlock(inputs, next(widths), by, bottleneck=bottleneck))
                inputs = stage[-1].outputs
            stages.append(stage)
        *raw, last = stages
        segments = [
            LinearStage(ConvNorm(image[0], STEM, 3)),
            *(LinearStage(*stage) for stage in raw),
            PreActivatedStage(*last, norm=nn.BatchNorm2d(inputs)),
        ]
        super().__init__(segments, inputs, classes=classes, image=image)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier stays as torch draws it."""
        init_fan_out(self)


def _widths(alpha: int, blocks: int) -> Iterator[int]:
    """Channels of every block: the stem's and equal steps up to alpha more, rounded.

    Summed up step by step, as everybody does: where a width falls on a half, the sum's rounding
    error decides, and weights trained elsewhere must fit.
    """
    width = float(STEM)
    for _ in range(blocks):
        width += alpha / blocks
        yield round(width)
