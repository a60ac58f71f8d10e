"""Pruned students: real networks without masks, from the channels that a search kept."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
from torch import nn

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.models import pruning
from kdbench.models.pruning.channel_layout import LAYOUTS, Layout, Plan, Strengths
from kdbench.models.pruning.gates import Gates, folded, gated_modules
from kdbench.models.pruning.slimming import prune
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork


def layouts() -> Mapping[str, type[Layout]]:
    """The layout of every family that a student can be pruned from, by the family's name.

    A family joins by a module beside this one that subclasses `Layout`.
    """
    _import_siblings()
    return dict(sorted(LAYOUTS.items()))  # in one order, whatever was imported first


@cache
def _import_siblings() -> None:
    """Import every module of this package; those that define a layout register it."""
    for module in iter_modules(pruning.__path__):
        import_module(f"{pruning.__name__}.{module.name}")


def layout_of(network: StagedNetwork) -> Layout:
    """The readers of a network.

    Raises:
        UserError: no student can be pruned from a network of this family.
    """
    name = type(network).__name__
    if name not in layouts():
        raise UserError(
            f"search for a student inside a network: found a {name}, expected one of "
            f"{', '.join(layouts())}; take a teacher of these families"
        )
    return layouts()[name](network)


def gated(network: StagedNetwork) -> Gates:
    """Put an open gate on every channel that a layer of a network reads, in place.

    The image is not gated, nor are identities.

    Raises:
        UserError: see `layout_of`.
    """
    return Gates(network, layout_of(network).widths)


def structure_of(network: StagedNetwork, plan: Plan, metadata: dict[str, Any]) -> Structure:
    """The structure that says which channels a plan keeps of a network."""
    kept = {name: np.flatnonzero(plan.kept[name]).tolist() for name in layout_of(network).widths}
    return Structure(type(network).__name__, dict(network.arguments), kept, metadata)


def build_pruned(structure: Structure, classes: int, image: Sequence[int]) -> StagedNetwork:
    """The smaller network, with fresh weights as its family draws them.

    Args:
        structure: of any number of classes and size of image.
        classes: number of logits.
        image: (C, H, W).

    Returns:
        A staged network. Layers keep the names that they have in the larger one.

    Raises:
        UnknownName: there is no such family.
        BadValue: the structure does not fit its network, or closes a way through it.
    """
    if structure.family not in layouts():
        raise UnknownName("family", structure.family, list(layouts()), where="structure, family")
    layout_class = layouts()[structure.family]
    try:
        whole = layout_class.family(**structure.arguments, classes=classes, image=image)
    except TypeError:
        given, expected = structure.arguments, f"the arguments of {structure.family}"
        raise BadValue("structure, arguments", given, expected) from None
    layout = layout_class(whole)
    small = prune(layout, _checked_plan(layout, structure))
    for module in small.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    small.init_weights()
    return small


def strengths_of(network: StagedNetwork) -> Strengths:
    """How far the gates of a gated network are open, by reader; 0 where closed."""
    modules = gated_modules(network).items()
    return {name: module.gate.detach().abs().cpu().numpy() for name, module in modules}


def transfer_weights(network: StagedNetwork, pruned: StagedNetwork) -> None:
    """Give a pruned student the weights of the gated network that it comes from, gates folded in.

    Its outputs are then those of the gated network whose gates are closed wherever the plan keeps
    no channel. Constants go with the branches that give them: those that a ResNet's last norm adds
    to a branch of nothing, and those of a DenseNet's layer whose second norm has open gates while
    it reads nothing.

    Args:
        network: of the search, with its gates; not changed.
        pruned: what `build_pruned` built from the structure that these gates leave.
    """
    layout = layout_of(folded(network))
    small = prune(layout, layout.plan(strengths_of(network)))
    pruned.load_state_dict(small.state_dict())


def _checked_plan(layout: Layout, structure: Structure) -> Plan:
    """The plan of a structure, which must keep exactly what the structure says."""
    widths = layout.widths
    if structure.kept.keys() != widths.keys():
        wrong = sorted(structure.kept.keys() ^ widths.keys())[0]
        expected = f"the {len(widths)} readers of {structure.family} {structure.arguments}"
        raise BadValue("structure, kept", f"{wrong} missing or too many", expected)
    strengths = {}
    for name, width in widths.items():
        channels = structure.kept[name]
        if channels and channels[-1] >= width:
            raise BadValue(f"structure, {name}", channels[-1], f"channels below {width}")
        strengths[name] = np.isin(np.arange(width), channels).astype(float)
    plan = layout.plan(strengths)
    for name, gates in strengths.items():
        if (plan.kept[name] != (gates != 0)).any():
            found = f"{int(gates.sum())} channels, where {int(plan.kept[name].sum())} can matter"
            expected = "a structure as a search saves it, without loose ends"
            raise BadValue(f"structure, {name}", found, expected)
    return plan
