"""The papers' exhibits and claims, as declarations: modules found by their place."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.published import Published, read_published
from kdbench.exhibits.tables import Exhibit

T = TypeVar("T")


def catalogue() -> list[Exhibit]:
    """Every exhibit of every paper: the EXHIBITS of each module of this package that has some.

    Paper by paper: its tables as it numbers them, its figures, then all others as declared.
    """
    declared = [exhibit for module in _modules() for exhibit in getattr(module, "EXHIBITS", ())]
    return _in_order(declared, lambda exhibit: exhibit.id)


def _in_order(declared: list[T], exhibit_of: Callable[[T], str]) -> list[T]:
    """Sorted by the exhibits that they are or belong to."""
    papers = list(dict.fromkeys(exhibit_of(one).partition("/")[0] for one in declared))
    return sorted(declared, key=lambda one: _place(exhibit_of(one), papers))


def _place(name: str, papers: list[str]) -> tuple[int, int, int, str]:
    """Where an exhibit stands: its paper, kind, number, and what follows the number.

    >>> _place("distpro/table3b", ["dfa", "distpro"])
    (1, 0, 3, 'b')
    """
    paper, _, own = name.partition("/")
    match = re.match(r"(table|figure)(\d+)(.*)", own)
    if match is None:
        return papers.index(paper), 2, 0, ""
    return papers.index(paper), ["table", "figure"].index(match[1]), int(match[2]), match[3]


def all_claims() -> list[Claim]:
    """The CLAIMS of each module of this package that has some, ordered by what tests them."""
    declared = [claim for module in _modules() for claim in getattr(module, "CLAIMS", ())]
    return _in_order(declared, lambda claim: claim.exhibits[0] if claim.exhibits else claim.id)


def bibtex_keys(paper: str) -> tuple[str, ...]:
    """Keys in sources.bib of a paper, by the first part of its exhibits' ids; none of our own."""
    listed = (getattr(module, "BIBTEX", {}) for module in _modules())
    return next((keys[paper] for keys in listed if paper in keys), ())


def published_numbers(csv_name: str) -> dict[tuple[str, str, str, str], Published]:
    """All numbers of one CSV file of this package by (exhibit, setting, method, metric)."""
    return read_published(Path(__file__).with_name(csv_name))


def _modules() -> list[ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
