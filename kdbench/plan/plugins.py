"""Classes and functions by name: from a module of the package, or from a plug-in's .py file."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from kdbench.errors import BadValue
from kdbench.plan import moved

LONGEST_REASON = 200  # characters of an import's error that fit in one line


def load_class(module: str, name: str) -> type[Any]:
    """The class that a declaration names.

    Args:
        module: a dotted name, or the path of a plug-in's .py file.
        name: of the class.

    Raises:
        BadValue: a plug-in that is no file, whose code fails when it is imported, or that lacks
            the class.
    """
    loaded = _load_module(module, where="plugins")
    if not hasattr(loaded, name):
        raise BadValue(module, f"no class {name!r}", "the class of the declaration")
    return getattr(loaded, name)  # type: ignore[no-any-return]


def load_function(module: str, name: str, *, data_set: str) -> Callable[..., Any]:
    """A function of a data set's module.

    Args:
        module: a dotted name, or the path of a plug-in's .py file.
        name: of the function.
        data_set: whose module it is, for errors.

    Raises:
        BadValue: a plug-in that is no file, whose code fails when it is imported, or that lacks
            the function.
    """
    loaded = _load_module(module, where=f"data set {data_set}")
    if not hasattr(loaded, name):
        raise BadValue(module, f"no {name}", f"a function `{name}` in the data set's module")
    return getattr(loaded, name)  # type: ignore[no-any-return]


def _load_module(module: str, where: str) -> ModuleType:
    """The module; a plug-in's file is run anew on every call and is not put into `sys.modules`."""
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(Path(module).stem, module)
    if spec is None or spec.loader is None or not Path(module).is_file():
        raise BadValue(where, module, "a Python file")
    loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}"
        raise BadValue(module, reason, "code that can be imported", moved.advice(error)) from None
    return loaded
