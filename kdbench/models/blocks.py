"""Building blocks that several families share."""

import torch
from torch import Tensor, nn

from kdbench.errors import BadValue


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """Convolution padded so that stride 1 keeps (H, W); `kernel` is odd."""
    return nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=bias
    )


class ConvNorm(nn.Module):
    """Convolution and batch norm: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, kernel, stride=stride, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(outputs)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm, which makes the map that a ReLU behind this block sees."""
        return self.norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalised map; no activation follows."""
        normed: Tensor = self.norm(self.conv(x))
        return normed


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of (B, C, H, W) out to the next layer's groups, one from each in turn.

    >>> import torch
    >>> channel_shuffle(torch.arange(6).reshape(1, 6, 1, 1), groups=2).flatten().tolist()
    [0, 3, 1, 4, 2, 5]

    Source: Zhang et al., CVPR 2018, figure 1.
    """
    return torch.unflatten(x, 1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def init_fan_out(network: nn.Module) -> None:
    """Draw every convolution anew from N(0, 2 / (k² · outputs)), with torch's global generator.

    Biases of convolutions, where there are any, start at 0.

    Source: He et al., ICCV 2015, eq. 14 (the backward case).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_small(classifier: nn.Linear) -> None:
    """Draw a classifier's weights anew from N(0, 0.01²) and zero its bias."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)


def blocks_per_stage(family: str, depth: int, besides: int) -> int:
    """How many two-convolution blocks each of three stages has.

    Args:
        family: name for the error message.
        depth: layers with weights, shortcuts apart.
        besides: how many of these lie outside the blocks.

    Raises:
        BadValue: the depth is not 6n + besides with n >= 1.

    >>> blocks_per_stage("ResNet", 20, besides=2)
    3
    """
    blocks, left_over = divmod(depth - besides, 6)
    if left_over or blocks < 1:
        nearest = 6 * max(1, round((depth - besides) / 6)) + besides
        expected = f"6n + {besides} with n >= 1"
        raise BadValue(f"depth of a {family}", depth, expected, f"the nearest is {nearest}")
    return blocks
