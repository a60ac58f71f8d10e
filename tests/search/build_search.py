"""Searches as the search phase builds them, and comparisons of all that a search can change."""

import tomllib
from pathlib import Path

import torch

import kdbench.search
from kdbench.plan.components import find_components
from kdbench.runs.assemble import find_class

FOLDER = Path(kdbench.search.__file__).parent
SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}


def declaration(name):
    """What the TOML file of a search says."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def declared(name):
    """The declared defaults of a search that its class takes: all but the validation share."""
    return {k: v for k, v in declaration(name)["defaults"].items() if k != "held_out"}


def build(name, student, teacher, **options):
    """The search of a declaration with its defaults, some of them replaced."""
    component = find_components().get("search", name, where="test")
    cls = find_class(component)
    return cls(student, teacher, **{**SGD, **declared(name), **options})


def everything(modules, leaves, optimisers):
    """Every tensor that training could change, by name, the gradients included; all are copies."""
    tensors = {}
    for name, module in modules.items():
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        tensors |= {f"{name}.{key}.grad": p.grad for key, p in module.named_parameters()}
    for name, leaf in leaves.items():
        tensors |= {name: leaf, f"{name}.grad": leaf.grad}
    for name, optimiser in optimisers.items():
        for key, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{key}.{slot}": value for slot, value in slots.items()}
    return {k: v.detach().clone() if torch.is_tensor(v) else v for k, v in tensors.items()}


def assert_same(before, after):
    """Bit for bit, name by name."""
    assert before.keys() == after.keys()
    for name, value in before.items():
        same = torch.equal(value, after[name]) if value is not None else after[name] is None
        assert same, name
