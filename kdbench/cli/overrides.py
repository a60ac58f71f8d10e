"""What `--scale` and `--override` say over params.yaml."""

import json
from typing import Any

from kdbench.errors import BadValue


def overrides_of(scale: str | None, override: str | None) -> dict[str, Any]:
    """Top-level keys of params.yaml to replace.

    Raises:
        BadValue: no JSON object.
    """
    try:
        replaced = json.loads(override) if override else {}
    except ValueError as error:
        raise BadValue("--override", override, "a JSON object", str(error)) from None
    if not isinstance(replaced, dict):
        raise BadValue("--override", override, "a JSON object")
    return {**replaced, "scale": scale} if scale else replaced
