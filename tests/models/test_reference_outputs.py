"""Outputs of the code that the distillation papers share, for weights that a formula gives.

The numbers were computed once, in float64, with the reference code of Tian et al. (ICLR 2020) and
the same `fill`; they do not come from kdbench. They see what counts and shapes cannot: which input
a shortcut takes, where a ReLU is missing, in which order channels are shuffled.
"""

import pytest
import torch
from torch import Tensor, nn

from kdbench.models.resnet import ResNet
from kdbench.models.shufflenet_v1 import ShuffleNetV1
from kdbench.models.shufflenet_v2 import ShuffleNetV2
from kdbench.models.wide_resnet import WideResNet


def wave(like: Tensor, phase: float) -> Tensor:
    """Numbers in -1..1 that depend on the shape and the phase alone."""
    return torch.sin(torch.arange(like.numel()) * 1.7 + phase).reshape(like.shape)


@torch.no_grad()
def fill(network: nn.Module) -> nn.Module:
    """Set every parameter and statistic by its shape and kind, whatever it is called."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.copy_(1 + 0.3 * wave(module.weight, 0.0))
            module.bias.copy_(0.3 * wave(module.bias, 1.0))
            module.running_mean.copy_(0.2 * wave(module.bias, 2.0))
            module.running_var.copy_(1 + 0.5 * wave(module.bias, 3.0))
        elif isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            weight.copy_(wave(weight, 0.5) * (2 / weight[0].numel()) ** 0.5)
            if module.bias is not None:
                module.bias.copy_(wave(module.bias, 0.2))
    return network


CASES = {  # network; logits in eval mode; logits in train mode
    "resnet14": (
        lambda: ResNet(14),
        [
            [4.92224711229, -2.77892024021, -2.16179114872],
            [4.77818888492, -2.65193966555, -2.12013992157],
        ],
        [
            [3.79244637007, 0.168979574729, -3.40940583271],
            [3.26615026784, 0.335024479143, -3.01702124104],
        ],
    ),
    "resnet8x4": (
        lambda: ResNet(8, (32, 64, 128, 256)),
        [
            [14.6177975206, -6.64382084141, -13.5060777878],
            [14.0700590036, -6.35800626583, -13.0093848219],
        ],
        [
            [5.09063901429, 1.16610761151, -5.37374703371],
            [4.38687742083, 1.48751461697, -4.72738768327],
        ],
    ),
    "wrn-16-1": (
        lambda: WideResNet(16, 1),
        [
            [1.74596033769, -0.283085580447, -0.998339339303],
            [1.60803115617, -0.16741844854, -0.953693118866],
        ],
        [
            [1.72687127707, 0.460722029376, -1.57911451992],
            [1.34978038631, 0.674980034637, -1.37481792981],
        ],
    ),
    "wrn-16-2": (
        lambda: WideResNet(16, 2),
        [
            [3.01708613842, 0.250402312175, -2.32175796989],
            [2.86699438127, 0.266110803385, -2.19286629413],
        ],
        [
            [2.29352015689, -0.487454879091, -0.602384542531],
            [1.89488807733, -0.38838164993, -0.337461072783],
        ],
    ),
    "shufflenet-v1": (
        ShuffleNetV1,
        [
            [1250.99982664, 667.833042159, -1327.7383244],
            [1249.5981815, 667.004389478, -1326.24162939],
        ],
        [
            [26.8672785053, -16.1269078387, -25.1527625892],
            [25.7564290458, -15.4032085108, -24.1249244132],
        ],
    ),
    "shufflenet-v2": (
        ShuffleNetV2,
        [
            [5.95795555884, 3.13507896414, -2.10128216824],
            [5.93564810699, 3.09652738551, -2.15119840902],
        ],
        [
            [7.11028323346, 7.47195172807, 4.87121867527],
            [3.87560203335, 4.60633750834, 2.73737158279],
        ],
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_reference_code(float64, name):
    """First logits of two images, normalised by running and by batch statistics."""
    build, evaluated, trained = CASES[name]
    network = fill(build())
    images = wave(torch.empty(2, 3, 32, 32), 0.1)
    images[1] = images[1].flip(-1).square()

    ours = {mode: network.train(mode == "train")(images)[:, :3] for mode in ("eval", "train")}

    torch.testing.assert_close(ours["eval"], torch.tensor(evaluated), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours["train"], torch.tensor(trained), rtol=1e-7, atol=1e-7)
