"""Fingerprints of code: what a record was made by. Comments, docstrings and layout do not count."""

import ast
import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from kdbench.errors import BadValue
from kdbench.store.plugin_sources import sources_of
from kdbench.store.spec import RunSpec

ROOT = Path(__file__).parent.parent
# Pairs of fingerprints of code that gives the same numbers, written by tests/golden/same_code.py
# when code was moved, renamed or reworded.
SAME_CODE = Path(__file__).with_name("same_code.json")
TRAINING = ("data/loaders", "data/stored", "models", "engine", "evaluate", "runs")
# Of these folders, what reads finished runs or tries planned ones: it makes no record.
APART = ("runs/check.py", "runs/loss_contract.py", "runs/estimate", "runs/export.py")
RUNNING = {
    "data": ("data",),
    "teacher": TRAINING,
    "search": (*TRAINING, "distill", "search"),
    "student": (*TRAINING, "distill"),
    "evaluation": TRAINING,
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_fingerprint(files: Iterable[Path]) -> str:
    """First 12 hex digits of a hash over the syntax trees of `files`, by file name."""
    trees = sorted((path.name, _tree(path)) for path in files)
    return sha256(repr(trees).encode()).hexdigest()[:12]


@cache
def _tree(path: Path) -> str:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:  # a plug-in's; also bytes that are no text
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise BadValue(f"{path}{line}", reason, "Python code") from None
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return _text(tree)


def _text(node: object) -> str:
    """A syntax tree as text, the same whatever Python reads the code.

    Later versions give nodes more fields, empty where the code has nothing new; `ast.dump` shows
    them. So empty fields are left out.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return f"{type(node).__name__}({', '.join(f'{n}={_text(v)}' for n, v in fields)})"


def run_fingerprint(spec: RunSpec) -> str:
    """Fingerprint of the package's code that makes a run of this specification.

    Shared code of the packages that its phase uses counts always; of the components (modules with
    a declaration beside them) only those that the run names.
    """
    specs = [spec, *spec.upstream.values()] if spec.phase == "evaluation" else [spec]
    return _fingerprint(spec.phase, frozenset(name for one in specs for name in one.modules))


@cache
def _fingerprint(phase: str, modules: frozenset[str]) -> str:
    own = {ROOT.parent / (module.replace(".", "/") + ".py") for module in modules}
    codes = [Path(module) for module in sorted(modules) if module.endswith(".py")]
    plugins = [file for code in codes for file in sources_of(code)]
    folders = [ROOT / folder for folder in RUNNING[phase]]
    components = {module for folder in folders for module in _component_modules(folder)}
    files = [file for folder in folders for file in folder.rglob("*.py") if not _apart(file)]
    shared = [f for f in files if f not in components or f in own]
    return code_fingerprint([*shared, *plugins])


def read_code() -> None:
    """Read now the package's code that fingerprints need, for processes forked from this one."""
    for folder in sorted({ROOT / name for names in RUNNING.values() for name in names}):
        for file in folder.rglob("*.py"):
            _tree(file)


def is_todays_code(code: str, spec: RunSpec) -> bool:
    """Whether a record's code is today's, or was shown to give the same numbers as today's.

    Args:
        code: fingerprint in the record of this run.
        spec: the run.
    """
    today = run_fingerprint(spec)
    return code == today or today in _same_code().get(code, ())


def _apart(file: Path) -> bool:
    """Whether a file is one of `APART`, or lies in such a folder."""
    return any(file.is_relative_to(ROOT / name) for name in APART)


@cache
def _same_code() -> Mapping[str, list[str]]:
    if not SAME_CODE.is_file():
        return {}
    pairs: dict[str, list[str]] = json.loads(SAME_CODE.read_text(encoding="utf-8"))
    return pairs


@cache
def _component_modules(folder: Path) -> frozenset[Path]:
    modules = set()
    for path in folder.rglob("*.toml"):
        modules.add(path.with_suffix(".py"))
        module = tomllib.loads(path.read_text(encoding="utf-8")).get("module")
        if module:
            modules.add(path.with_name(f"{module}.py"))
    return frozenset(modules)
