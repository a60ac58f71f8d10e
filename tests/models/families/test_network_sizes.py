"""Published sizes: parameters, multiply-adds and shapes, all without computing a number.

`published_sizes.csv` has a row for every network whose size the field's tables state, at 32×32:
parameters, millions of multiply-adds of convolutions and linear layers, channels@side of every
stage's maps, and the length of the pooled vector. Where multiply-adds are missing, parameters and
shapes are those of the public code (of Heo et al. for PyramidNets, of Tian et al. for ResNets).
"""

import csv
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from declared import GOING_ON, SMALLEST, build, every
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import kdbench.models.families
from kdbench.models.families.pyramidnet import PyramidNet
from kdbench.models.families.vgg import VGG

with Path(__file__).with_name("published_sizes.csv").open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
BUDGET = 90.0  # millions of operations of the students that Gu & Tresp made by hand


class Elements(TorchDispatchMode):
    """Counts the elements that batch norms and ReLUs put out, operation by operation."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Run it, and count what it gives."""
        output = operation(*args, **(kwargs or {}))
        if "batch_norm" in str(operation):
            self.count += output[0].numel()
        elif "relu" in str(operation):
            self.count += output.numel()
        return output


def passed(name, classes, mode):
    """A network and what it shows of one 32×32 image, on the meta device, seen by a counter."""
    with torch.device("meta"), torch.no_grad():
        network = build(name, classes=classes, image=(3, 32, 32)).eval()
        with mode:
            return network, network.read(torch.empty(1, 3, 32, 32))


@cache
def measured(name, classes):
    """Parameters, millions of multiply-adds, and shapes of a network: maps, pooled, blocks."""
    counter = FlopCounterMode(display=False)
    network, features = passed(name, classes, counter)
    parameters = sum(p.numel() for p in network.parameters())
    maps = " ".join(f"{m.shape[1]}@{m.shape[3]}" for m in features.out)
    blocks = [len(stage) for stage in features.blocks]
    return parameters, counter.get_total_flops() / 2e6, maps, features.pooled.shape[1], blocks


def operations(name, classes):
    """Millions of multiply-adds, with one more for each element that is normed or rectified."""
    elements = Elements()
    passed(name, classes, elements)
    return measured(name, classes)[1] + elements.count / 1e6


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['network']}, {row['classes']}")
def test_size_is_as_published(row):
    """Parameters and shapes agree exactly, multiply-adds to all digits."""
    parameters, macs, maps, pooled, _ = measured(row["network"], int(row["classes"]))

    assert parameters == int(row["parameters"])
    assert row["million_macs"] in ("", f"{macs:.2f}")
    assert maps == row["maps"]
    assert pooled == int(row["pooled"])


def test_the_counters_agree_with_the_teacher_of_gu_and_tresp():
    """DenseNet-BC(100, 12): 0.80 M parameters and 296 M operations, batch norms and ReLUs too."""
    parameters, macs, *_ = measured("densenet-bc-100-12", 100)
    total = operations("densenet-bc-100-12", 100)

    assert (f"{parameters / 1e6:.2f}", f"{total:.2f}") == ("0.80", "296.51")
    assert f"{total - macs:.2f}" == f"{2 * 4.277:.2f}"


@pytest.mark.parametrize("name", ["vgg", "googlenet", "resnet", "shufflenet-v2", "mobilenet-v2"])
def test_manual_students_are_of_the_paper_s_size(name):
    """Within 5 % of 90 M operations for 10 classes, as their declarations state."""
    parameters, total = measured(f"{name}-sbs", 10)[0], operations(f"{name}-sbs", 10)
    declaration = Path(kdbench.models.families.__file__).with_name(
        f"{name.replace('-', '_')}_sbs.toml"
    )
    comment = " ".join(declaration.read_text("utf-8").split("\n# "))

    assert abs(total / BUDGET - 1) < 0.05
    assert f"{parameters:,} parameters and {total:.2f} M operations" in comment


@pytest.mark.parametrize(
    ("name", "layers", "macs"),
    [
        ("densenet-bc-50-12", 7, 88.49),
        ("densenet-bc-75-9", 11, 92.80),
        ("densenet-bc-100-7", 16, 98.10),
        ("densenet-bc-100-12", 16, 287.93),
    ],
)
def test_dense_blocks_have_the_depth_rounded_down(name, layers, macs):
    """(depth - 4) / 6 layers each, and the multiply-adds that follow, for 10 classes."""
    _, counted, _, _, blocks = measured(name, 10)

    assert blocks == [1, layers, layers, layers]
    assert f"{counted:.2f}" == f"{macs:.2f}"


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("vgg8", [1, 1, 1, 1, 1]),
        ("vgg11", [1, 1, 2, 2, 2]),
        ("vgg13", [2, 2, 2, 2, 2]),
        ("vgg16", [2, 2, 3, 3, 3]),
        ("vgg19", [2, 2, 4, 4, 4]),
        ("googlenet", [1, 2, 5, 2]),
        ("mobilenet-v2-0.5", [1, 3, 3, 7, 4]),
        ("resnet14", [1, 2, 2, 2]),
        ("wrn-16-2", [1, 2, 2, 2]),
        ("shufflenet-v1", [1, 4, 8, 4]),
        ("shufflenet-v2", [1, 4, 8, 4]),
        ("resnet18-cifar", [1, 2, 2, 2, 2]),
        ("resnet34-cifar", [1, 3, 4, 6, 3]),
        ("resnet50-cifar", [1, 3, 4, 6, 3]),
        ("pyramidnet-29-12", [1, 3, 3, 3]),
    ],
)
def test_blocks_lie_in_the_stages_of_the_papers(name, blocks):
    """Layers that moved between stages of one width and size would change no other figure."""
    assert measured(name, 100)[4] == blocks


@pytest.mark.parametrize(
    ("width", "channels", "head"),
    [
        ("0.5", [24, 48, 96, 192], 1024),
        ("1.0", [24, 116, 232, 464], 1024),
        ("1.5", [24, 176, 352, 704], 1024),
        ("2.0", [24, 244, 488, 976], 2048),
    ],
)
def test_shufflenets_with_a_large_stem_have_the_channels_of_their_paper(width, channels, head):
    """Ma et al., table 5; the stem is a 3×3 convolution that keeps the size."""
    with torch.device("meta"):
        network = build(f"shufflenet-v2-{width}x", image=(3, 32, 32))

    assert [stage.channels for stage in network.stages] == channels
    assert [stage.size[0] for stage in network.stages] == [32, 16, 8, 4]
    assert network.pooled_width == head
    assert network.trunk["stem"].blocks[0].conv.weight.shape == (24, 3, 3, 3)


def test_a_pyramid_widens_in_equal_steps():
    """Widths are 16 + 84 k / blocks, rounded; bottlenecks put out four times as many channels."""
    for bottleneck, depth, blocks in ((False, 38, 18), (True, 29, 9)):
        with torch.device("meta"):
            network = PyramidNet(depth, 84, bottleneck=bottleneck)
            features = network.read(torch.empty(1, 3, 8, 8))
        widths = [block.shape[1] for stage in features.blocks[1:] for block in stage]
        factor = 4 if bottleneck else 1
        assert widths == [factor * round(16 + 84 * k / blocks) for k in range(1, blocks + 1)]


def test_the_last_pooling_of_a_vgg_spares_small_maps():
    """Maps of 8 rows are halved, of 7 not, whatever their width."""
    sizes = {}
    for height in (56, 63, 64):
        with torch.device("meta"):
            stages = VGG(8, image=(3, height, 16)).stages
        sizes[height] = [stage.size for stage in stages[3:]]

    assert sizes == {56: [(7, 2), (7, 2)], 63: [(7, 2), (7, 2)], 64: [(8, 2), (4, 1)]}


@every
def test_stages_are_known_for_photographs(stem):
    """Height comes first, sizes never grow, no map is empty, and the pooled width is told."""
    size = (224, 161 if stem in GOING_ON else 160)  # a transformer's patches must fit
    with torch.device("meta"):
        network = build(SMALLEST[stem], image=(3, *size))

    sizes = [size, *(stage.size for stage in network.stages)]
    for before, after in pairwise(sizes):
        assert all(1 <= b <= a for a, b in zip(before, after, strict=True))
        assert after[0] > after[1]
    assert network.pooled_width == network.classifier.in_features
