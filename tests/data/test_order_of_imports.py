"""The folders of kdbench/data import each other one way, as the package's docstring draws it."""

import ast
from pathlib import Path

import pytest

import kdbench.data

PACKAGE = Path(kdbench.data.__file__).parent
ALLOWED = {
    "stored": {"stored"},
    "ingest": {"ingest", "stored"},
    "sets": {"sets", "ingest", "stored"},
    "loaders": {"loaders", "stored"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def folders_imported(path):
    """The folders of kdbench.data that a file imports from, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        parts = [module.split(".") for module in modules]
        yield from (p[2] for p in parts if p[:2] == ["kdbench", "data"] and len(p) > 2)


def test_every_folder_has_a_rule():
    """A new folder needs a place in the order; no module lies beside the folders."""
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == set(
        ALLOWED
    )
    assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_one_way(folder):
    """Every folder imports something of `stored`, so the rule does not hold of nothing."""
    imported = {
        name
        for path in FILES
        for name in folders_imported(path)
        if path.is_relative_to(PACKAGE / folder)
    }

    assert imported <= ALLOWED[folder]
    assert "stored" in imported


def test_the_docstring_draws_this_order():
    """Its two lines are the rules of this test."""
    text = kdbench.data.__doc__
    drawn = [line.strip().split(" <- ") for line in text.splitlines() if " <- " in line]

    assert {chain[-1]: set(chain) for chain in drawn} == {
        name: ALLOWED[name] for name in ("sets", "loaders")
    }
