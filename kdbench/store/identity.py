"""What of a record's specification is in its digest, so that a record can be held against its name.

A record says more than the digest is made of: where code lies, the class that holds it and printed
labels change no number (`parts.py`). Without these its parameters are those of the digest.
"""

from collections.abc import Mapping
from typing import Any

from kdbench.store.canonical import digest_of

NESTED = ("parameters", "recipe")  # of a part: values, in which every key counts


def identity_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a record's specification without what is in no digest."""
    return {key: _part(key, value) for key, value in params.items()}


def digest_of_record(spec: Mapping[str, Any]) -> str:
    """The digest that a record's specification has by its content.

    Args:
        spec: the record's "spec".

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is no specification.
    """
    return digest_of(
        {
            "phase": spec["phase"],
            "dataset": spec["dataset"],
            "params": identity_of(spec["params"]),
            "revisions": spec["revisions"],
            "upstream": spec["upstream"],
        }
    )


def _part(key: str, value: Any) -> Any:
    if isinstance(value, list) and key == "parts":
        return [_part(key, part) for part in value]
    if not isinstance(value, Mapping) or key in NESTED:
        return value
    of_code = {"module", *(("class", "label") if "parameters" in value else ())}
    return {name: _part(name, part) for name, part in value.items() if name not in of_code}
