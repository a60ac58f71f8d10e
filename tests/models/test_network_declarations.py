"""The declarations beside the networks name what the classes build."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
import torch

import kdbench.models
from kdbench.plan.components import _number

FOLDER = Path(kdbench.models.__file__).parent
DECLARATIONS = {p.stem: tomllib.loads(p.read_text("utf-8")) for p in FOLDER.glob("*.toml")}
EXAMPLES = [(stem, name) for stem, d in DECLARATIONS.items() for name in d["examples"]]


def arguments(stem: str, name: str) -> dict | None:
    """Keyword arguments of a name under one declaration; None if it has no such name."""
    match = re.fullmatch(DECLARATIONS[stem]["pattern"], name)
    if match is None:
        return None
    numbers = {key: _number(value) for key, value in match.groupdict().items() if value}
    return DECLARATIONS[stem].get("arguments", {}) | numbers


@pytest.mark.parametrize(("stem", "name"), EXAMPLES, ids=[name for _, name in EXAMPLES])
def test_every_example_can_be_built(stem, name):
    """Its name gives arguments that its class accepts, with other classes and images too."""
    declaration = DECLARATIONS[stem]
    module = importlib.import_module(f"kdbench.models.{declaration.get('module', stem)}")
    with torch.device("meta"):
        network = getattr(module, declaration["class"])(
            **arguments(stem, name), classes=11, image=(3, 64, 64)
        )

    assert network.classifier.out_features == 11
    assert network.stages[0].size == (64, 64)
    assert declaration["revision"] >= 1
    assert declaration["citation"]


@pytest.mark.parametrize(
    ("stem", "name", "label"),
    [
        ("resnet", "resnet20", "ResNet20"),
        ("resnet_x4", "resnet32x4", "ResNet32x4"),
        ("wide_resnet", "wrn-40-2", "WRN-40-2"),
        ("shufflenet_v1", "shufflenet-v1", "ShuffleNet-v1"),
        ("shufflenet_v2", "shufflenet-v2", "ShuffleNet-v2"),
    ],
)
def test_labels_are_those_of_the_papers(stem, name, label):
    """Tables print a label, filled in from the name."""
    assert DECLARATIONS[stem]["label"].format(**arguments(stem, name)) == label


@pytest.mark.parametrize("name", [name for _, name in EXAMPLES])
def test_a_name_has_one_declaration(name):
    """No two patterns claim the same name."""
    assert sum(arguments(stem, name) is not None for stem in DECLARATIONS) == 1


@pytest.mark.parametrize(
    "name",
    ["resnet21", "resnet020", "resnet20x2", "wrn-17-2", "wrn-16-02", "wrn-16-0", "wrn-16", "vgg8"],
)
def test_names_that_cannot_be_built_match_nothing(name):
    """A wrong depth is noticed while planning, long before a network is built."""
    assert all(arguments(stem, name) is None for stem in DECLARATIONS)


@pytest.mark.parametrize(("stem", "besides"), [("resnet", 2), ("resnet_x4", 2), ("wide_resnet", 4)])
def test_every_depth_of_a_pattern_exists(stem, besides):
    """All listed depths are 6n plus the layers outside the blocks."""
    listed = re.search(r"<depth>([\d|]+)\)", DECLARATIONS[stem]["pattern"]).group(1)

    assert all((int(d) - besides) % 6 == 0 and int(d) > besides for d in listed.split("|"))
