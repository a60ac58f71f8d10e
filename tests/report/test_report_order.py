"""Imports inside the report point one way, in the order that its docstring gives."""

import ast
from pathlib import Path

import pytest

import kdbench.report

PACKAGE = Path(kdbench.report.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def ranks():
    """Rank by part of the report, from the indented lines of the package's docstring."""
    lines = [line for line in kdbench.report.__doc__.splitlines() if line.startswith("    ")]
    groups = [group.split(",") for group in " ".join(lines).split("<-")]
    return {name.strip(): rank for rank, group in enumerate(groups) for name in group}


def part(path):
    """The folder or module of the report that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source):
    """The parts of the report that a piece of code imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (n.split(".")[2] for n in names if n.startswith("kdbench.report."))


def test_the_docstring_ranks_every_part_of_the_report():
    """It names all folders and modules, and none that does not exist."""
    assert {part(path) for path in FILES} == ranks().keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_part_of_the_report_imports_a_higher_one(path):
    """A file imports its own part and lower ranks: nothing above, and no sibling."""
    rank, own = ranks(), part(path)
    parts = set(imported(path.read_text(encoding="utf-8")))

    assert {name for name in parts if name != own and rank[name] >= rank[own]} == set()


@pytest.mark.parametrize(
    "source",
    [
        "from kdbench.report.figures.drawing import STYLE",
        "from kdbench.report import figures",
        "import kdbench.report.figures.drawing",
        "def f():\n    from kdbench.report.figures import drawing",
    ],
)
def test_every_way_to_write_an_import_is_seen(source):
    """In full or in part, at the top or inside a function."""
    assert list(imported(source)) == ["figures"]
