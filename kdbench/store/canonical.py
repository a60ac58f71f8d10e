"""JSON in one spelling only, and the digests made of it."""

import json
from hashlib import sha256
from typing import Any

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return ENCODER.encode(value)


def digest_of(value: Any) -> str:
    """First 12 hex digits of the SHA-256 of the canonical JSON.

    Raises:
        ValueError: a number that JSON cannot hold.
    """
    return sha256(canonical(value).encode()).hexdigest()[:12]
