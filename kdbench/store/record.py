"""Records: what a finished run says. Small JSON files, written once, whole, and last."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import DamagedData

SCHEMA = 1
MOST_POINTS = 200


def write_atomically(path: Path, text: str) -> None:
    """Write `text` under a temporary name, then rename: readers never see half a file.

    The content is on the disk before the name is, so a power cut leaves no empty record.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with a fixed layout, so that equal contents are equal bytes."""
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


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
