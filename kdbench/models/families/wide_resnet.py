"""Wide residual networks."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from kdbench.errors import BadValue
from kdbench.models.blocks import blocks_per_stage, conv, init_fan_out
from kdbench.models.segments import LinearStage, PreActivatedStage
from kdbench.models.stages import StagedNetwork


class PreActivationBlock(nn.Module):
    """Norm, ReLU and 3×3 convolution, twice, beside a shortcut.

    Where the width changes, the shortcut is a 1×1 convolution of the *activated* input; no norm
    follows it.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        stride: of the first convolution and of the shortcut.
        activated: the input has passed its norm and ReLU already: the stage before ended in them.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, activated: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = None if activated else nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, outputs, 3, stride=stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        same = inputs == outputs
        self.shortcut = None if same else conv(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> raw sum (B, outputs, H / stride, W / stride)."""
        active = x if self.norm1 is None else relu(self.norm1(x))
        branch: Tensor = self.conv2(relu(self.norm2(self.conv1(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(StagedNetwork):
    """WRN-depth-width without dropout; 32×32 images end as 8×8 maps.

    Args:
        depth: 6n + 4, counting the three shortcuts' layers.
        width: how many times wider than 16, 32, 64 channels the stages are.
        classes: number of logits.
        image: (C, H, W).

    Raises:
        BadValue: no wide ResNet has this depth or width.

    Source: Zagoruyko & Komodakis, BMVC 2016, table 1.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        *,
        classes: int = 100,
        image: Sequence[int] = (3, 32, 32),
    ) -> None:
        blocks = blocks_per_stage("wide ResNet", depth, besides=4)
        if width < 1:
            raise BadValue("width of a wide ResNet", width, "at least 1")
        segments = [
            LinearStage(conv(image[0], 16, 3)),
            _stage(PreActivationBlock(16, 16 * width), 16 * width, blocks),
            _stage(_halving(16 * width), 32 * width, blocks),
            _stage(_halving(32 * width), 64 * width, blocks),
        ]
        super().__init__(segments, 64 * width, classes=classes, image=image)
        self.arguments = {"depth": depth, "width": width}
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out; the classifier's bias starts at 0."""
        init_fan_out(self)
        nn.init.zeros_(self.classifier.bias)


def _halving(inputs: int) -> PreActivationBlock:
    """A stage's first block: half the size, twice the channels, fed by the norm before it."""
    return PreActivationBlock(inputs, 2 * inputs, stride=2, activated=True)


def _stage(first: PreActivationBlock, outputs: int, blocks: int) -> PreActivatedStage:
    """Blocks of one width after the first, ended by the norm of their sum."""
    others = (PreActivationBlock(outputs, outputs) for _ in range(blocks - 1))
    return PreActivatedStage(first, *others, norm=nn.BatchNorm2d(outputs))
