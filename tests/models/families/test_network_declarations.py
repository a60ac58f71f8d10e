"""The declarations beside the networks name what the classes build."""

import re
from itertools import chain

import pytest
import torch
from declared import DECLARATIONS, SMALLEST, build, component

EXAMPLES = list(chain.from_iterable(declared["examples"] for declared in DECLARATIONS.values()))


def claims(name):
    """The declarations whose pattern fits a name."""
    return [
        stem for stem, declared in DECLARATIONS.items() if re.fullmatch(declared["pattern"], name)
    ]


@pytest.mark.parametrize("stem", DECLARATIONS)
def test_every_example_can_be_built(stem):
    """Its name gives arguments that its class accepts; the first example is the smallest."""
    declaration, sizes = DECLARATIONS[stem], []
    for name in declaration["examples"]:
        with torch.device("meta"):
            network = build(name, classes=11, image=(3, 64, 64))
        assert network.classifier.out_features == 11
        sizes.append(sum(p.numel() for p in network.parameters()))

    assert sizes[0] == min(sizes)
    assert len(set(sizes)) == len(sizes)
    assert declaration["revision"] >= 1
    assert declaration["citation"]


LABELS = {
    "resnet20": "ResNet20",
    "resnet32x4": "ResNet32x4",
    "wrn-40-2": "WRN-40-2",
    "shufflenet-v1": "ShuffleNet-v1",
    "shufflenet-v2": "ShuffleNet-v2",
    "shufflenet-v2-0.5x": "ShuffleNet-v2 0.5x",
    "shufflenet-v2-2.0x": "ShuffleNet-v2 2.0x",
    "vgg13": "VGG13",
    "googlenet": "GoogLeNet",
    "mobilenet-v2-0.5": "MobileNetV2",
    "resnet50-cifar": "ResNet50",
    "densenet-bc-100-12": "DenseNet-BC(100, 12)",
    "densenet-bc-50-12": "DenseNet-BC(50, 12), rounded down",
    "densenet-40-12": "DenseNet(40, 12)",
    "pyramidnet-200-240": "PyramidNet-200(240)",
    "vgg-sbs": "VGG (reduced)",
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_those_of_the_papers(name):
    """Tables print a label, filled in from the name."""
    assert component(name).label == LABELS[name]


# Names that are written alike, besides all examples.
ALIKE = ["densenet-bc-10-4", "densenet-bc-250-40", "densenet-bc-11-4", "densenet-bc-249-40"]
ALIKE += ["densenet-100-24", "mobilenet-v2-0.15", "mobilenet-v2-1.4", "pyramidnet-110-270"]
ALIKE += ["pyramidnet-164-270"]


@pytest.mark.parametrize("name", [*EXAMPLES, *ALIKE])
def test_a_name_has_one_declaration(name):
    """No two patterns claim the same name."""
    assert len(claims(name)) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("resnet21", "resnet020", "resnet20x2", "resnet18x4", "resnet20-cifar", "resnet-cifar"),
        *("wrn-17-2", "wrn-16-02", "wrn-16-0", "wrn-16", "vgg12", "vgg08", "vgg", "googlenet-2"),
        *("densenet-bc-9-12", "densenet-bc-100", "densenet-bc-100-0", "densenet-bc-050-12"),
        *("densenet-bc-251-12", "densenet-41-12", "densenet-40-13", "densenet-50-12"),
        *("mobilenet-v2-0.0", "mobilenet-v2-0.05", "mobilenet-v2-0.50", "mobilenet-v2-1"),
        *("shufflenet-v2-1x", "shufflenet-v2-0.7x", "shufflenet-v2-0.5", "shufflenet-v2-0x5x"),
        *("pyramidnet-111-84", "pyramidnet-110-0", "pyramidnet-110", "vgg-sbs-2"),
    ],
)
def test_names_that_cannot_be_built_match_nothing(name):
    """A wrong depth is noticed while planning, long before a network is built."""
    assert claims(name) == []


@pytest.mark.parametrize(
    ("stem", "multiple", "besides"),
    [
        ("resnet", 6, 2),
        ("resnet_x4", 6, 2),
        ("wide_resnet", 6, 4),
        ("densenet_bc", 6, 4),
        ("densenet", 3, 4),
        ("pyramidnet", 6, 2),
        ("pyramidnet_bottleneck", 9, 2),
    ],
)
def test_every_depth_of_a_pattern_exists(stem, multiple, besides):
    """All listed depths are whole blocks plus the layers outside them."""
    listed = re.search(r"<depth>([\d|]+)\)", DECLARATIONS[stem]["pattern"]).group(1)

    assert all((int(d) - besides) % multiple == 0 and int(d) > besides for d in listed.split("|"))


def test_dense_depths_say_when_they_are_rounded():
    """A label hides no rounding: 6n + 4 has the plain label, every other depth the longer one."""
    for depth in range(10, 251):
        name = f"densenet-bc-{depth}-12"
        assert len(claims(name)) == 1, name
        rounded = component(name).label.endswith("), rounded down")
        assert rounded == ((depth - 4) % 6 != 0), name


def test_reduced_students_are_declared_apart():
    """The five students that Gu & Tresp made by hand have one name each, and fixed arguments."""
    names = [SMALLEST[stem] for stem in SMALLEST if stem.endswith("_sbs")]

    assert sorted(names) == [
        "googlenet-sbs",
        "mobilenet-v2-sbs",
        "resnet-sbs",
        "shufflenet-v2-sbs",
        "vgg-sbs",
    ]
    assert all(component(name).arguments for name in names)
