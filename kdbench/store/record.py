"""Records: what a finished run says. Small JSON files, written once, whole, sealed, and last.

The seal is a hash of the content. It is no signature: it shows that a number was edited after the
run, by accident or in a merge, not that somebody forged both.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

from kdbench.errors import DamagedData, UserError
from kdbench.store.atomic import write_text
from kdbench.store.canonical import canonical

SCHEMA = 2  # 2: records are sealed
UNSEALED = 1  # schema of the records that were made before, which are read as they are
SEAL = "seal"
MOST_POINTS = 200
LIST_OF_NUMBERS = re.compile(r'\[\n\s*([^\[\]{}"]+?)\n\s*\]')
BREAK = re.compile(r",\n\s*")
MEND = "bring the file back from git, or delete it to run again"


class Seal(Enum):
    """Whether a record is what its run wrote; the values are how it is said."""

    INTACT = "as its run wrote it"
    ABSENT = "of an older schema, without a seal"
    BROKEN = "does not match its seal: it was changed after the run"


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record whole, with today's schema and its seal.

    Raises:
        ValueError: a number is not finite.
    """
    plain = json.loads(json.dumps({**content, "schema": SCHEMA}, allow_nan=False))
    write_text(path, as_text({**plain, SEAL: _hash(plain)}))


def as_text(record: Mapping[str, Any]) -> str:
    """A record as its file holds it: a key per line, a list of numbers on one line."""
    text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"
    # No string of JSON holds a line break, so what is joined here is a list of numbers.
    return LIST_OF_NUMBERS.sub(lambda match: f"[{re.sub(BREAK, ', ', match[1])}]", text)


def read_record(path: Path) -> dict[str, Any]:
    """Read one record, whatever its seal.

    Raises:
        DamagedData: not JSON, or not a record of a schema that is known.
        UserError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {MEND}") from error
    return parse_record(content, path)


def parse_record(content: bytes, where: Path | str) -> dict[str, Any]:
    """A record from the bytes of its file, whatever its seal.

    Raises:
        DamagedData: not JSON, or not a record of a schema that is known; the line names `where`.
    """
    try:
        record = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        advice = "delete the file and run again"
        raise DamagedData(where, f"unreadable JSON ({error})", "a record", advice) from None
    known = (SCHEMA, UNSEALED)
    if not isinstance(record, dict) or record.get("schema") not in known or _is_true(record):
        layout = f"a record of schema {SCHEMA}"
        raise DamagedData(where, "another layout", layout, "delete the file")
    return record


def _is_true(record: Mapping[str, Any]) -> bool:
    """Whether the schema is true, which Python takes for 1."""
    return record["schema"] is True


def read_intact(path: Path) -> dict[str, Any]:
    """Read one record that is what its run wrote, as far as it is sealed.

    Raises:
        DamagedData: see `read_record`; or it does not match its seal.
    """
    record = read_record(path)
    if seal_of(record) is Seal.BROKEN:
        raise DamagedData(path, "a record changed after its run", "one that matches its seal", MEND)
    return record


def seal_of(record: Mapping[str, Any]) -> Seal:
    """Compare a record with its seal."""
    plain = {key: value for key, value in record.items() if key != SEAL}
    if record["schema"] == UNSEALED and SEAL not in record:
        return Seal.ABSENT
    try:
        return Seal.INTACT if record.get(SEAL) == _hash(plain) else Seal.BROKEN
    except ValueError:  # NaN, which Python reads and no run writes
        return Seal.BROKEN


def _hash(plain: Mapping[str, Any]) -> str:
    return sha256(canonical(plain).encode()).hexdigest()


def thinned(points: Sequence[Any], most: int = MOST_POINTS) -> list[Any]:
    """At most `most` of the points, evenly spaced, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(i * step)] for i in range(most)]
