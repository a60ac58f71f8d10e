"""What `--scale` and `--override` say over params.yaml."""

import json
from typing import Any

from kdbench.errors import BadValue, UnknownName

OPTION = "--override"
LONGEST_NUMBER = 18  # digits


def overrides_of(scale: str | None, override: str | None) -> dict[str, Any]:
    """Top-level keys of params.yaml to replace.

    Raises:
        BadValue: no JSON object, a key that stands twice, or a number that is not finite.
    """
    replaced = parse_json(override) if override else {}
    if not isinstance(replaced, dict):
        raise BadValue(OPTION, override, "a JSON object", """as '{"seeds": 2}'""")
    return {**replaced, "scale": scale} if scale else replaced


def check_scale(scale: str | None) -> str | None:
    """The scale, where there is no plan that would refuse an unknown one.

    Raises:
        UnknownName: there is no such scale.
    """
    from kdbench.plan.scales import SCALES

    if scale is not None and scale not in SCALES:
        raise UnknownName("scale", scale, list(SCALES), where="--scale")
    return scale


def parse_json(text: str) -> Any:
    """Values of a JSON text, which says every key once and finite numbers only.

    Raises:
        BadValue: it does not.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        advice = f"""{error}; quote it as '{{"seeds": 2}}'"""
        raise BadValue(OPTION, text, "a JSON object", advice) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise BadValue(OPTION, f"the key {key!r} again", "each key once")
        content[key] = value
    return content


def _refuse_constant(name: str) -> float:
    raise BadValue(OPTION, name, "finite numbers")


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise BadValue(OPTION, digits, f"numbers of at most {LONGEST_NUMBER} digits")
    return int(digits)
