"""What values a declaration allows beyond their kind: its choices, ranges and patterns."""

import re
from typing import Any

from kdbench.errors import BadValue, UnknownName
from kdbench.plan.declarations import Distiller
from kdbench.plan.validation import LONGEST_LINE

LARGEST_NUMBER = 3e38  # of a parameter: about what float32 holds
TEACHER_BN = "teacher_bn"  # may stand beside parameters, though no class takes it


def check_constraints(where: str, key: str, value: Any, declaration: Distiller) -> None:
    """Refuse a parameter that a declaration's constraints rule out.

    Args:
        where: the place of the parameter, for errors.
        key: its name.
        value: of the right kind already; of a list, every entry is checked.
        declaration: its `[choices]` lists what may stand; its `[ranges]` gives the smallest and
            the largest number, both allowed; its `[patterns]` what a text must match.

    Raises:
        UnknownName: not among the choices.
        BadValue: out of range, or no number; a list of choices that is empty or repeats one; a
            text that does not match.
    """
    choices, bounds = declaration.choices.get(key), declaration.ranges.get(key)
    pattern = declaration.patterns.get(key)
    entries = value if isinstance(value, list) else [value]
    repeats = any(entries.count(entry) > 1 for entry in entries)
    if choices is not None and (repeats or not entries):
        raise BadValue(where, value, f"at least one of {', '.join(map(str, choices))}, each once")
    for entry in entries:
        if choices is not None and entry not in choices:
            raise UnknownName("choice", str(entry), [str(c) for c in choices], where=where)
        if bounds is not None and not (_is_number(entry) and bounds[0] <= entry <= bounds[1]):
            raise BadValue(where, entry, f"a number from {bounds[0]} to {bounds[1]}")
        if pattern is not None and not (isinstance(entry, str) and re.fullmatch(pattern, entry)):
            raise BadValue(where, entry, f"a text that matches {pattern}")


def checked(where: str, value: Any, default: Any) -> Any:
    """A value of the declared default's kind; an integer in a float's place becomes one.

    Raises:
        BadValue: another kind, a number that is not finite or as large as no parameter is, or a
            text that does not fit in a line.
    """
    if isinstance(default, list) and isinstance(value, list):
        sample = default[0] if default else ""
        return [checked(where, entry, sample) for entry in value]
    if isinstance(default, float) and type(value) is int and abs(value) < LARGEST_NUMBER:
        value = float(value)
    wrong = type(value) is not type(default)
    if isinstance(value, int | float) and not wrong:
        wrong = not abs(value) < LARGEST_NUMBER  # true of nan, too
    if isinstance(value, str) and not wrong:
        wrong = len(value) > LONGEST_LINE or not value.isprintable()
    if wrong:
        raise BadValue(where, value, f"a value like {default!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_own_values(path: str, declaration: Distiller) -> None:
    """Refuse a declaration whose sections name no parameter, or rule its own values out.

    Raises:
        BadValue, UnknownName: with the file's name.
    """
    for section in ("choices", "ranges", "patterns"):
        for key in getattr(declaration, section):
            if key not in declaration.defaults:
                known = list(declaration.defaults)
                raise UnknownName("parameter", key, known, where=f"{path}, {section}")
    pairs = {f'pairs."{pair}"': values for pair, values in declaration.pairs.items()}
    sections = {"smoke": declaration.smoke, "lite": declaration.lite, **pairs}
    for section, values in {"defaults": declaration.defaults, **sections}.items():
        for key, value in values.items():
            if key not in declaration.defaults and key != TEACHER_BN:
                raise UnknownName(
                    "parameter", key, list(declaration.defaults), where=f"{path}, {section}"
                )
            place = f"{path}, {section}.{key}"
            checked(place, value, declaration.defaults.get(key, ""))
            check_constraints(place, key, value, declaration)
