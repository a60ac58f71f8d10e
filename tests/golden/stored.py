"""The file of the golden numbers: a line per component, numbers that are counted as one list."""

import json
import re
from pathlib import Path

FILE = Path(__file__).parent / "revisions.json"


def stored(text=None):
    """Every component's revision, parameters and numbers by name; of the file, or of a text."""
    if text is None:
        text = FILE.read_text(encoding="utf-8") if FILE.is_file() else "{}"
    entries = json.loads(text)
    return {key: {**one, "numbers": _spread(one["numbers"])} for key, one in entries.items()}


def as_text(entries):
    """What the file holds of them."""
    short = {key: {**one, "numbers": _listed(one["numbers"])} for key, one in entries.items()}
    lines = (f"{json.dumps(k)}: {json.dumps(short[k], sort_keys=True)}" for k in sorted(short))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _listed(numbers):
    """Numbers named "x 0", "x 1", ... as a list named "x"."""
    lists = {}
    for name in numbers:
        if match := re.fullmatch(r"(.*) (\d+)", name):
            lists.setdefault(match[1], []).append(int(match[2]))
    whole = {name for name, places in lists.items() if sorted(places) == [*range(len(places))]}
    counted = {f"{name} {place}" for name in whole for place in lists[name]}
    plain = {name: value for name, value in numbers.items() if name not in counted}
    return plain | {n: [numbers[f"{n} {place}"] for place in range(len(lists[n]))] for n in whole}


def _spread(numbers):
    """The inverse of `_listed`."""
    every = {}
    for name, value in numbers.items():
        if isinstance(value, list):
            every |= {f"{name} {place}": one for place, one in enumerate(value)}
        else:
            every[name] = value
    return every
