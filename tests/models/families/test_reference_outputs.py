"""Outputs and maps of public code, for weights that a formula gives.

The numbers of `reference_outputs.json` were computed once, in float64, with the reference code and
the same `fill`; they do not come from kdbench. They see what counts and shapes cannot: which input
a shortcut takes, where a ReLU is missing, in which order channels are shuffled. The reference code
is that of Tian et al. (ICLR 2020) for ResNet, wide ResNet, ShuffleNet-v1 and -v2, VGG and
MobileNet-v2, of Heo et al. (ICCV 2019) for PyramidNet, of A. Veit for DenseNet, and of K. Liu for
GoogLeNet and the ShuffleNet-v2 with a 3×3 stem. Maps that it does not show are null.
"""

import json
from pathlib import Path

import pytest
import torch
from declared import build
from waves import fill, images, probe

from kdbench.models.families.densenet import DenseNet

CASES = json.loads(Path(__file__).with_name("reference_outputs.json").read_text("utf-8"))


def ours(name):
    """The network of a case: "vgg8 at 64" is VGG8 on 64×64 images."""
    if name == "plain densenet":  # a stem of twice the growth, which no name has
        return DenseNet(24, 5, bottleneck=False, compression=1.0)
    return build(name.split(" at ")[0])


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_reference_code(float64, name):
    """First logits of two images by running and by batch statistics, and every stage's maps."""
    expected = CASES[name]
    network, given = fill(ours(name)).eval(), images(expected["side"])

    features = network.read(given)
    trained = network.train()(given)

    for kind in ("out", "pre"):
        for maps, seen in zip(getattr(features, kind), expected[kind], strict=True):
            assert seen is None or probe(maps) == pytest.approx(seen, rel=1e-9, abs=1e-12)
    logits = torch.tensor(expected["eval"])
    torch.testing.assert_close(features.logits[:, :3], logits, rtol=1e-9, atol=1e-9)
    logits = torch.tensor(expected["train"])
    torch.testing.assert_close(trained[:, :3], logits, rtol=1e-7, atol=1e-7)
