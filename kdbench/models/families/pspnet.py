"""PSPNet: an encoder of output stride 8, and a pyramid of pooled maps on its last one."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu
from torchvision.models import resnet as torchvision
from torchvision.models.mobilenetv2 import MobileNetV2

from kdbench.exhibits.tasks import SEGMENTATION
from kdbench.models.blocks import ConvNorm, init_fan_out
from kdbench.models.dense import DenseNetwork, enlarge, per_place
from kdbench.models.families.torchvision_mobilenet_v2 import ENDS, ReLU6Stage
from kdbench.models.families.torchvision_resnet import LAYERS
from kdbench.models.segments import ActivatedStage, LinearStage, Segment

BINS = (1, 2, 3, 6)  # sides of the pooled maps
SHARE = 4  # the pyramid has a quarter as many channels as the encoder
AUXILIARY_STAGE = 3
# A deep stem, and what reads its 128 channels where torchvision's ResNets have 64.
FIRST_BLOCK = "trunk.stage1.blocks.0."
READ_STEM = ("trunk.stem.", f"{FIRST_BLOCK}conv1.", f"{FIRST_BLOCK}downsample.")


class PyramidPooling(nn.Module):
    """The map beside itself pooled to a few sizes, fused by a 3×3 convolution and a norm.

    (B, inputs, H, W) -> (B, outputs, H, W); a ReLU follows.

    Source: Zhao et al., CVPR 2017, figure 3; channels as in IFVD's code.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(ConvNorm(inputs, outputs, 1) for _ in BINS)
        self.fuse = ConvNorm(inputs + len(BINS) * outputs, outputs, 3)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm before the ReLU that follows."""
        return self.fuse.norm

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        size = (x.shape[2], x.shape[3])
        pooled = [
            enlarge(relu(branch(adaptive_avg_pool2d(x, side))), size)
            for branch, side in zip(self.branches, BINS, strict=True)
        ]
        fused: Tensor = self.fuse(torch.cat([*pooled, x], dim=1))
        return fused


class AuxiliaryHead(nn.Module):
    """3×3 convolution, norm, ReLU and a classifier at every place."""

    def __init__(self, inputs: int, middle: int, classes: int) -> None:
        super().__init__()
        self.enter = ConvNorm(inputs, middle, 3)
        self.classifier = nn.Linear(middle, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, classes, h, w)."""
        return per_place(self.classifier, relu(self.enter(x)))


class DeepStem(nn.Module):
    """Three 3×3 convolutions in place of one of 7×7, up to the last norm; stride 2.

    Source: PSPNet's own code, and IFVD's.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, 64, 3, stride=2)
        self.second = ConvNorm(64, 64, 3)
        self.third = ConvNorm(64, 128, 3)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm before the ReLU that follows."""
        return self.third.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 128, H / 2, W / 2)."""
        normed: Tensor = self.third(relu(self.second(relu(self.first(x)))))
        return normed


class PSPNet(DenseNetwork):
    """PSPNet on a dilated encoder: stem, four stages of it, and the pyramid as stage 5.

    Stages 3 and 4 keep the size of stage 2, an eighth of the image's; their convolutions are
    dilated by 2 and 4 instead. Plain batch norms. The auxiliary head looks at stage 3. Neither head
    drops channels in training (a tenth of them in the published codes): a step is then a function
    of weights and batch alone, which is what lets a stopped run end in the same bits.

    Args:
        encoder: "resnet18", "resnet101" or "mobilenet-v2", as torchvision has them, or "resnet10".
        stem: "deep" for PSPNet's three 3×3 convolutions in place of a ResNet's 7×7 one; weights
            of torchvision then fit all but the stem and what reads it.
        classes: outputs per pixel.
        image: (C, H, W).

    Source: Zhao et al., Pyramid scene parsing network, CVPR 2017, and IFVD's code.
    """

    task = SEGMENTATION

    def __init__(
        self,
        encoder: str,
        stem: str = "",
        *,
        classes: int = 19,
        image: Sequence[int] = (3, 512, 512),
    ) -> None:
        mobile = encoder == "mobilenet-v2"
        segments, widths = _mobilenet(image[0]) if mobile else _resnet(encoder, stem, image[0])
        outputs = widths[-1] // SHARE
        pyramid = PyramidPooling(widths[-1], outputs)
        auxiliary = AuxiliaryHead(widths[-2], widths[-2] // 2, classes)
        for made in (pyramid, auxiliary):
            init_fan_out(made)
        super().__init__(
            [*segments, ActivatedStage(pyramid)],
            outputs,
            classes=classes,
            image=image,
            auxiliary=auxiliary,
            auxiliary_stage=AUXILIARY_STAGE,
        )
        self.unlike_torchvision = ("trunk.stage5.", *(READ_STEM if stem else ()))

    def encoder_state(self) -> dict[str, Tensor]:
        """All stages but the pyramid; without a deep stem, which torchvision does not have."""
        state = self.state_dict().items()
        fitting = [(key, value) for key, value in state if key.startswith("trunk.")]
        return {k: v for k, v in fitting if not k.startswith(self.unlike_torchvision)}


def _resnet(encoder: str, stem: str, channels: int) -> tuple[list[Segment], list[int]]:
    """The stages of a dilated ResNet and their channels."""
    block, layers = LAYERS[int(encoder.removeprefix("resnet"))]
    built = torchvision.ResNet(block, layers, num_classes=1)
    entry: nn.Module = DeepStem(channels) if stem else ConvNorm(channels, 64, 7, stride=2)
    if stem:
        built.inplanes = 128
        built.layer1 = built._make_layer(block, 64, layers[0])
        init_fan_out(built.layer1)
    init_fan_out(entry)
    for layer, dilation in ((built.layer3, 2), (built.layer4, 4)):
        dilate(layer, dilation)
    stages = (built.layer2, built.layer3, built.layer4)
    segments: list[Segment] = [
        ActivatedStage(entry),
        ActivatedStage(*built.layer1, entry=built.maxpool),
        *(ActivatedStage(*layer) for layer in stages),
    ]
    expansion = block.expansion
    return segments, [128 if stem else 64, *(width * expansion for width in (64, 128, 256, 512))]


def _mobilenet(channels: int) -> tuple[list[Segment], list[int]]:
    """The stages of a dilated MobileNet-v2 and their channels."""
    parts = list(MobileNetV2(num_classes=1).features)
    stem = ConvNorm(channels, parts[0].out_channels, 3, stride=2)
    init_fan_out(stem)
    stages = [nn.Sequential(*parts[start:end]) for start, end in pairwise(ENDS)]
    for stage, dilation in ((stages[2], 2), (stages[3], 4)):
        dilate(stage, dilation)
    return [ReLU6Stage(stem), *(LinearStage(*stage) for stage in stages)], [32, 24, 32, 96, 320]


def dilate(stage: nn.Module, dilation: int) -> None:
    """Let a stage keep its input's size: stride 1, and its 3×3 convolutions dilated."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)
