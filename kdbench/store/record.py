"""Records: what a finished run says. Small JSON files, written once, whole, and last."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import DamagedData

SCHEMA = 1
MOST_POINTS = 200


def read_record(path: Path) -> dict[str, Any]:
    """Read one record.

    Raises:
        DamagedData: not JSON, or not a record of this schema.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        advice = "delete the file and run again"
        raise DamagedData(path, f"unreadable JSON ({error})", "a record", advice) from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise DamagedData(path, "another layout", f"a record of schema {SCHEMA}", "delete the file")
    return record


def thinned(points: Sequence[Any], most: int = MOST_POINTS) -> list[Any]:
    """At most `most` of the points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(i * step)] for i in range(most)]
