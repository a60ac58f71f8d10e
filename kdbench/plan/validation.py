"""What values a declaration allows beyond their kind: choices and ranges."""

from collections.abc import Mapping
from typing import Any

from kdbench.errors import BadValue, UnknownName


def within_limits(where: str, key: str, value: Any, declaration: Mapping[str, Any]) -> None:
    """Refuse a parameter that a declaration's `[choices]` or `[ranges]` rules out.

    Args:
        where: the place of the parameter, for errors.
        key: its name.
        value: of the right kind already; of a list, every entry is looked at.
        declaration: its `[choices]` lists what may stand; its `[ranges]` gives the smallest and
            the largest number, both allowed.

    Raises:
        UnknownName: not among the choices.
        BadValue: out of range.
    """
    choices = declaration.get("choices", {}).get(key)
    if (
        isinstance(value, list)
        and choices is not None
        and (not value or len({*value}) < len(value))
    ):
        raise BadValue(where, value, f"at least one of {', '.join(map(str, choices))}, each once")
    for entry in value if isinstance(value, list) else [value]:
        if choices is not None and entry not in choices:
            raise UnknownName("choice", str(entry), [str(c) for c in choices], where=where)
    limits = declaration.get("ranges", {}).get(key)
    for entry in value if isinstance(value, list) else [value]:
        if limits is not None and not limits[0] <= entry <= limits[1]:
            raise BadValue(where, entry, f"a number from {limits[0]} to {limits[1]}")


def check_limits(path: str, declaration: Mapping[str, Any]) -> None:
    """Refuse a declaration whose limits are of no parameter, or rule its own values out.

    Raises:
        BadValue, UnknownName: with the file's name.
    """
    defaults = declaration.get("defaults", {})
    for section in ("choices", "ranges"):
        for key in declaration.get(section, {}):
            if key not in defaults:
                raise UnknownName("parameter", key, list(defaults), where=f"{path}, {section}")
    sets = [defaults, declaration.get("smoke", {}), *declaration.get("pairs", {}).values()]
    for values in sets:
        for key, value in values.items():
            within_limits(f"{path}, {key}", key, value, declaration)
