"""The networks that the declarations name: a new declaration is picked up by itself.

A declaration's first example is its smallest network. `from_stage = false` says that a family (of
transformers) cannot go on from a map. Networks of other tasks are in `DENSE` alone.
"""

import importlib
from copy import deepcopy
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from kdbench.models.stages import StagedNetwork
from kdbench.plan.components import Component, find_components

_ALL = {stem: network.as_written for stem, (_, network) in find_components().networks.items()}
DENSE = {stem: declared for stem, declared in _ALL.items() if "task" in declared}
_DECLARED = {stem: declared for stem, declared in _ALL.items() if stem not in DENSE}
# Those that cannot go on come last, so that both marks below number the others alike, and pytest
# runs all tests of one network before those of the next.
DECLARATIONS = dict(sorted(_DECLARED.items(), key=lambda item: not item[1].get("from_stage", True)))
SMALLEST = {stem: declared["examples"][0] for stem, declared in DECLARATIONS.items()}
GOING_ON = [stem for stem, declared in DECLARATIONS.items() if declared.get("from_stage", True)]
every = pytest.mark.parametrize("stem", SMALLEST, scope="module")
going_on = pytest.mark.parametrize("stem", GOING_ON, scope="module")


def component(name: str) -> Component:
    """What the plan knows of a network."""
    return find_components().get("network", name, where="tests")


def build(name: str, **more) -> StagedNetwork:
    """A network by its name, with further arguments."""
    network = component(name)
    cls = getattr(importlib.import_module(network.module), network.class_name)
    return cls(**network.arguments, **more)


@torch.no_grad()
def lively(network: StagedNetwork, images: Tensor) -> StagedNetwork:
    """Give norms scales and statistics of their own: fresh ones would hide a swapped norm.

    Statistics are those of a batch, disturbed: in deep networks any others let the images' part
    of the maps fade below rounding, and a test that sees no difference holds nothing.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = None  # keep the next batch's statistics whole
    network.train()(images)
    for norm in norms:
        norm.running_mean += 0.3 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= nn.init.uniform_(torch.empty_like(norm.running_var), 0.5, 2.0)
        norm.num_batches_tracked.zero_()
        norm.momentum = 0.1
    return network.eval()


def side(stem: str) -> int:
    """Pixels on a side of the images of `small`; in transformers every one of them is a token."""
    return 16 if stem in GOING_ON else 8


def small(stem: str) -> StagedNetwork:
    """The smallest network of a declaration for 10 classes and small images, in eval mode.

    Every call gives a copy of its own, in the default type.
    """
    return deepcopy(_small(stem, torch.get_default_dtype()))


@lru_cache(maxsize=2)
def _small(stem: str, dtype: torch.dtype) -> StagedNetwork:
    shape = (3, side(stem), side(stem))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return lively(build(SMALLEST[stem], classes=10, image=shape), torch.randn(8, *shape))
