"""Files of a plug-in's own package that its code imports: their changes are its changes."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kdbench.errors import BadValue


def sources_of(code: Path) -> list[Path]:
    """A plug-in's file, and those of its folder that it imports as a package Python knows.

    Args:
        code: the .py file; one that is no Python is refused where its fingerprint is taken.

    Raises:
        BadValue: an import of a file beside it that Python would not find, with file and line.
    """
    folder = code.parent
    package = folder.resolve().name if _is_known(folder.resolve().name, folder) else ""
    found, left = [code], [code]
    while left:
        file = left.pop()
        for line, name in _imports(file):
            if name.startswith(".") and file != code:  # which the package's own modules may
                files = _files(*_relative(name, file.parent))
            elif package and name.split(".")[0] == package:
                files = _files(folder, name.split(".")[1:])
            elif file == code and (name.startswith(".") or _lies_beside(name, folder)):
                raise _unknown(f"{code}, line {line}", name)
            else:
                continue
            new = [one for one in files if one not in found]
            found, left = found + new, left + new
    return [code, *sorted(found[1:])]


def _unknown(where: str, name: str) -> BadValue:
    expected = "no import of a file beside it, which Python does not find"
    advice = "put shared code into one file, which several declarations name as module"
    return BadValue(where, f"import of {name}", expected, advice)


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of what a file imports; relative names begin with dots."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots, module = "." * node.level, f"{node.module}." if node.module else ""
            yield from ((node.lineno, f"{dots}{module}{alias.name}") for alias in node.names)


def _relative(name: str, folder: Path) -> tuple[Path, list[str]]:
    """Where a relative import begins, and the names behind it."""
    bare = name.lstrip(".")
    for _ in range(len(name) - len(bare) - 1):
        folder = folder.parent
    return folder, bare.split(".")


def _is_known(package: str, folder: Path) -> bool:
    """Whether Python imports a folder by its name: installed, or below a folder of its path."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    places = (spec.submodule_search_locations or []) if spec else []
    return folder.resolve() in [Path(place).resolve() for place in places]


def _files(folder: Path, rest: list[str]) -> list[Path]:
    """Files that an import of the package's modules reads: packages on the way, and the module."""
    files = [folder / "__init__.py"]
    for name in rest:
        folder = folder / name
        files += [folder.with_name(f"{name}.py"), folder / "__init__.py"]
    return [file for file in files if file.is_file()]


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
