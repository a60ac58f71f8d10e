"""Checkpoints of other code bases load whole, and into the right places.

Each `foreign_keys/<network>.txt` lists the `state_dict` of one network (10 classes) as public code
calls it: the namings it holds for, then a key and its shape a line; `norm C` stands for the five
entries of a batch norm. `logits.json` holds what that code puts out for the weights that
`waves.weights` gives: numbers computed once, in float64, that do not come from kdbench.
"""

import json
from pathlib import Path

import pytest
import torch
from declared import DECLARATIONS, build, component
from waves import images, weights

from kdbench.models.checkpoints import rename

FOLDER = Path(__file__).with_name("foreign_keys")
FILES = {path.stem: path.read_text("utf-8").splitlines() for path in FOLDER.glob("*.txt")}
NAMINGS = [(name, naming) for name, lines in FILES.items() for naming in lines[0].split()]
LOGITS = json.loads((FOLDER / "logits.json").read_text("utf-8"))
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def shapes(name):
    """Foreign keys of a network with their shapes, in the order of the file."""
    by_key = {}
    for line in FILES[name][1:]:
        key, *shape = line.split()
        if shape[0] == "norm":
            by_key |= {f"{key}.{entry}": (int(shape[1]),) for entry in NORM[:-1]}
            by_key[f"{key}.{NORM[-1]}"] = ()
        else:
            by_key[key] = tuple(map(int, shape))
    return by_key


@pytest.mark.parametrize(("name", "naming"), NAMINGS)
def test_every_foreign_key_has_its_place(name, naming):
    """Keys are renamed one to one: none is left, none of ours is missing, none is dropped."""
    with torch.device("meta"):
        theirs = {key: torch.empty(shape) for key, shape in shapes(name).items()}
        expected = build(name, classes=10).state_dict()

    renamed, differences = rename(theirs, expected, component(name).declaration.names[naming])

    assert differences.lines() == []
    assert len(theirs) == len(expected)
    assert {id(tensor) for tensor in renamed.values()} == {id(tensor) for tensor in theirs.values()}


@torch.no_grad()
@pytest.mark.parametrize("name", LOGITS)
def test_foreign_weights_give_the_foreign_logits(float64, name):
    """Every weight lands where the other code has it: each key has numbers of its own."""
    expected = LOGITS[name]
    network = build(name, classes=10).eval()
    rules = component(name).declaration.names
    first = rules[FILES[name][0].split()[0]]

    renamed, _ = rename(weights(shapes(name)), network.state_dict(), first)
    network.load_state_dict(renamed)
    logits = network(images(expected["side"]))[:, :3]

    torch.testing.assert_close(logits, torch.tensor(expected["logits"]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FILES)
def test_namings_of_one_key_list_have_the_same_rules(name):
    """Codes that call everything alike are renamed alike, so that logits need one check."""
    rules = component(name).declaration.names
    namings = FILES[name][0].split()

    assert all(rules[naming] == rules[namings[0]] for naming in namings)


def test_every_naming_of_small_networks_is_listed():
    """A naming that a declaration adds needs a list of keys (large images are tested elsewhere)."""
    listed = {(component(name).declaration.pattern, naming) for name, naming in NAMINGS}
    declared = {
        (declaration["pattern"], naming)
        for stem, declaration in DECLARATIONS.items()
        for naming in declaration.get("names", {})
        if "image" not in declaration
    }

    assert declared == listed
