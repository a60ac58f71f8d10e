"""What `kdbench check` requires of a loss: its keywords, what it returns, a gradient."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from kdbench.errors import BadValue, UnknownName, UserError
from kdbench.models.stages import Features
from kdbench.plan.graph import Graph
from kdbench.runs import assemble
from kdbench.store.parts import Code

TASK_WEIGHT = "task_weight"  # taken by the assembler, by no class
GIVEN = ("scheme", "labels")  # keywords that no declaration lists


def check_keywords(method: Code, graph: Graph) -> None:
    """Refuse a plug-in's method whose class and declaration name different parameters.

    Raises:
        UnknownName, BadValue: with the declaration's file.
    """
    if not method.module.endswith(".py"):
        return
    path, declaration = graph.components.methods[method.name]
    parameters = list(signature(assemble.find_class(method)).parameters.values())[2:]
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    keywords = [one.name for one in parameters if one.name not in GIVEN]
    where = f"{path}, defaults"
    for key in declaration.defaults:
        if key not in (*keywords, TASK_WEIGHT):
            kind = f"keyword of {method.class_name}"
            raise UnknownName(kind, key, [*keywords, TASK_WEIGHT], where=where)
    for key in keywords:
        if key not in declaration.defaults:
            expected = f"every keyword of {method.class_name} with its default"
            raise BadValue(where, f"no key {key!r}", expected)


def checked_terms(where: str, found: Any) -> dict[str, Tensor]:
    """What a loss returned: named finite scalars.

    Raises:
        BadValue, UserError: anything else; `where` is its file and method.
    """
    if not isinstance(found, Mapping):
        advice = 'return {"name": term}'
        raise BadValue(where, type(found).__name__, "a dict of named scalars", advice)
    for name, term in found.items():
        place = f"{where}, term {name!r}"
        if not isinstance(term, Tensor):
            raise BadValue(place, type(term).__name__, "a tensor", "leave out .item() and float()")
        if term.ndim:
            raise BadValue(place, f"shape {tuple(term.shape)}", "a scalar", "take a mean or sum")
        if not torch.isfinite(term):
            raise UserError(f"its term {name!r} is {float(term.detach())} on noise")
    return dict(found)


def reaches_student(student: Features, terms: Mapping[str, Tensor]) -> bool:
    """Whether a gradient of the terms reaches what a student shows; 0 counts as one."""
    total = torch.stack([*terms.values()]).sum()
    maps = [*student.pre, *student.post, *student.out, *(m for b in student.blocks for m in b)]
    shown = [student.logits, student.pooled, *maps]
    if not total.requires_grad:
        return False
    found = torch.autograd.grad(total, shown, retain_graph=True, allow_unused=True)
    return any(one is not None for one in found)
