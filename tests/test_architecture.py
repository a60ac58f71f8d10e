"""What docs/architecture.md promises about imports and sizes, read from the code itself."""

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "kdbench"
FILES = sorted(PACKAGE.rglob("*.py"))
PURE = ("exhibits", "papers", "store", "plan", "report", "workflow")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def ranks():
    """Rank by part of the package, from the line of the document that draws the arrows."""
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("    errors <- console <- ")]
    groups = [group.split(",") for group in line.split("<-")]
    return {name.strip(): rank for rank, group in enumerate(groups) for name in group}


def part(path):
    """The package or module of kdbench that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """The parts of kdbench that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("kdbench."))


def definitions(tree):
    """Functions and classes of a module, those of classes too, without what functions hide."""
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from definitions(node)


def test_every_part_has_a_rank():
    """The document names all parts of the package, and none that is not there."""
    assert {part(path) for path in FILES} - {"__init__"} == ranks().keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    """A file imports its own part and lower ranks: nothing above, and no sibling."""
    known, own = ranks(), part(path)
    wrong = {n for n in imported(path) if n != own and known[n] >= known.get(own, 0)}

    assert not wrong, f"{path.relative_to(REPOSITORY)} ({own}) must not import {sorted(wrong)}"


def test_planning_and_reporting_start_without_torch():
    """Snakemake loads the plan at every call; torch alone would take seconds of it."""
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for path in FILES
        if part(path) in PURE and path.name != "__init__.py"
    ]
    program = "; ".join([*(f"import {m}" for m in modules), "import sys", "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert {"kdbench.workflow.snakemake", "kdbench.plan.graph", "kdbench.report.make"} <= set(
        loaded
    )
    assert "torch" not in loaded


def test_files_are_short():
    """No file over 400 lines, half of them at most 180."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {path.name: n for path, n in lengths.items() if n > 400} == {}
    assert median(n for n in lengths.values() if n) <= 180


def test_functions_are_short():
    """No function's body over 60 lines, its docstring not counted."""
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, FUNCTIONS):
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and body[-1].end_lineno - body[0].lineno >= 60:
                long.append(f"{path.relative_to(REPOSITORY)}: {node.name}")

    assert not long


def test_everything_public_is_documented():
    """Modules, classes, functions and methods say what they are for; setters need not repeat it."""
    bare = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            bare.append(str(path))
        hidden = {n for c in tree.body if is_private_class(c) for n in definitions(c)}
        for node in definitions(tree):
            setter = any(d.attr == "setter" for d in node.decorator_list if is_attribute(d))
            public = not node.name.startswith("_") and node not in hidden and not setter
            if public and not ast.get_docstring(node):
                bare.append(f"{path.relative_to(REPOSITORY)}: {node.name}")

    assert not bare


def is_private_class(node):
    """Whether a class's name starts with an underscore."""
    return isinstance(node, ast.ClassDef) and node.name.startswith("_")


def is_attribute(decorator):
    """Whether a decorator is written with a dot, as `@lr.setter` is."""
    return isinstance(decorator, ast.Attribute)
