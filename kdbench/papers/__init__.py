"""The papers' exhibits and claims, as declarations: modules found by their place."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.published import Published, read_published
from kdbench.exhibits.tables import Exhibit


def catalogue() -> list[Exhibit]:
    """Every exhibit of every paper: the EXHIBITS of each module of this package that has some."""
    return [exhibit for module in _modules() for exhibit in getattr(module, "EXHIBITS", ())]


def all_claims() -> list[Claim]:
    """The CLAIMS of each module of this package that has some."""
    return [claim for module in _modules() for claim in getattr(module, "CLAIMS", ())]


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
