"""What a plug-in's file may import: nothing beside it, which would be missing from the digest."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kdbench.errors import BadValue


def check_imports(code: Path) -> None:
    """Refuse imports of files beside a plug-in's code: changes there would make no new runs.

    Args:
        code: the .py file; one that is no Python is refused where its fingerprint is taken.

    Raises:
        BadValue: with file, line and the import.
    """
    try:
        tree = ast.parse(code.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        for name in _imported(node):
            if name.startswith(".") or _lies_beside(name, code.parent):
                where = f"{code}, line {getattr(node, 'lineno', 0)}"
                expected = "no import of a file beside it, whose changes no digest would show"
                advice = "put shared code into one file, which several declarations name as module"
                raise BadValue(where, f"import of {name}", expected, advice)


def _imported(node: ast.AST) -> Iterator[str]:
    """Dotted names of what a statement imports; relative ones begin with a dot."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield from (f"{module}.{alias.name}" for alias in node.names)


def _lies_beside(name: str, folder: Path) -> bool:
    """Whether a name is that of a module in the folder, and of no module elsewhere."""
    first, *rest = name.split(".")
    if first == folder.resolve().name and rest:
        return _is_module(folder / rest[0])
    if not _is_module(folder / first):
        return False
    spec = find_spec(first)  # a plug-in may have the name of a module of Python
    return spec is None or Path(spec.origin or folder).resolve().is_relative_to(folder.resolve())


def _is_module(path: Path) -> bool:
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()
