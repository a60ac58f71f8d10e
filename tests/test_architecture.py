"""What docs/architecture.md promises about imports and sizes, read from the code itself."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import median

import pytest
from importlinter.cli import lint_imports

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "kdbench"
FILES = sorted(PACKAGE.rglob("*.py"))
LOOSE = {"__init__.py", "__main__.py", "errors.py", "console.py"}
PURE = ("exhibits", "papers", "store", "plan", "report", "workflow")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Imports torch once, then gives every part of the package a process that has none of kdbench yet:
# as fresh as an interpreter of its own, without its seconds. Some find modules by name only when
# they are called; they are called.
LOADER = """
import json, os, sys
from importlib import import_module
import torch, torchvision

def load(part, modules):
    for module in modules:
        import_module(module)
    if part == "papers":
        from kdbench.papers import all_claims, catalogue
        assert catalogue() and all_claims()
    if part == "plan":
        from kdbench.plan.graph import make_graph
        from kdbench.plan.params import Params
        assert make_graph(Params(scale="smoke", exhibits=["all"])).runs
    print(json.dumps([part, [name for name in sys.modules if name.startswith("kdbench.")]]))

assert not any(name.startswith("kdbench") for name in sys.modules)
for part, modules in json.loads(sys.stdin.read()).items():
    child = os.fork()
    if child == 0:
        load(part, modules)
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"importing {part} failed")
"""


def contract():
    """The layers of pyproject.toml, lowest first, each as a set of parts."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (order,) = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    return [{name.strip() for name in layer.split("|")} for layer in reversed(order["layers"])]


LAYERS = contract()
PARTS = [part for layer in LAYERS for part in sorted(layer) if part != "__main__"]


def part(path):
    """The package or module of kdbench that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path):
    """The dotted name of a file."""
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def definitions(tree):
    """Functions and classes of a module, those of classes too, without what functions hide."""
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from definitions(node)


def test_the_document_draws_the_contract():
    """docs/architecture.md has the layers of pyproject.toml, in the same order."""
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("    errors <- console <- ")]

    assert [{name.strip() for name in group.split(",")} for group in line.split("<-")] == LAYERS


def test_imports_keep_the_contracts(capsys, monkeypatch):
    """import-linter finds no import upwards or sideways, and none of torch in plan and report."""
    monkeypatch.chdir(REPOSITORY)
    code = lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True)

    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "Contracts: 2 kept, 0 broken." in shown


@pytest.mark.slow
def test_importing_a_part_loads_nothing_of_a_higher_layer_or_a_sibling():
    """Neither by an import statement nor by a name that import-linter cannot see."""
    modules = {p: [module_of(path) for path in FILES if part(path) == p] for p in PARTS}
    done = subprocess.run(
        [sys.executable, "-c", LOADER],
        input=json.dumps(modules),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = dict(json.loads(line) for line in done.stdout.splitlines())

    wrong = {
        f"{name} loads {module}"
        for rank, layer in enumerate(LAYERS)
        for name in layer & loaded.keys()
        for module in loaded[name]
        if module.split(".")[1] not in {name}.union(*LAYERS[:rank])
    }
    assert loaded.keys() == set(PARTS)
    assert all(set(modules[name]) <= {"kdbench", *loaded[name]} for name in PARTS)
    assert wrong == set()


def test_nothing_stands_loose_at_the_top_of_the_package():
    """Every module but errors, the console and the entry point lies in a package."""
    assert {path.name for path in PACKAGE.glob("*.py")} == LOOSE


def test_no_import_is_relative():
    """A file's imports read the same wherever it lies."""
    nodes = [
        (path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    statements = [(path, node) for path, node in nodes if isinstance(node, ast.ImportFrom)]

    assert statements
    assert [str(path) for path, node in statements if node.level] == []


def test_planning_and_reporting_start_without_torch():
    """Nor do the language of exhibits, the papers, the store and the workflow import it."""
    modules = [module_of(p) for p in FILES if part(p) in PURE and p.name != "__init__.py"]
    program = "; ".join([*(f"import {m}" for m in modules), "import sys", "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    names = set(done.stdout.split())
    assert {"kdbench.workflow.snakemake", "kdbench.plan.graph", "kdbench.report.make"} <= names
    assert "torch" not in names


def test_no_file_has_more_than_400_lines_and_half_have_at_most_180():
    """Empty files are not counted among the halves."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}

    assert {path.name: n for path, n in lengths.items() if n > 400} == {}
    assert median(n for n in lengths.values() if n) <= 180


def test_no_function_has_a_body_of_more_than_60_lines():
    """Its docstring is not counted."""
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, FUNCTIONS):
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and body[-1].end_lineno - body[0].lineno >= 60:
                long.append(f"{path.relative_to(REPOSITORY)}: {node.name}")

    assert not long


def test_everything_public_has_a_docstring():
    """Modules, classes, functions and methods; setters and overloads need none."""
    bare = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            bare.append(str(path))
        hidden = {n for c in tree.body if is_private_class(c) for n in definitions(c)}
        for node in definitions(tree):
            public = not node.name.startswith("_") and node not in hidden
            repeats = any(is_setter_or_overload(d) for d in node.decorator_list)
            if public and not repeats and not ast.get_docstring(node):
                bare.append(f"{path.relative_to(REPOSITORY)}: {node.name}")

    assert not bare


def is_private_class(node):
    """Whether a class's name starts with an underscore."""
    return isinstance(node, ast.ClassDef) and node.name.startswith("_")


def is_setter_or_overload(decorator):
    """Whether a decorator is `@overload`, or of the form `@lr.setter`."""
    if isinstance(decorator, ast.Attribute):
        return decorator.attr in ("setter", "overload")
    return isinstance(decorator, ast.Name) and decorator.id == "overload"
