"""Where a run's files lie, for runs that no plan of today has: those of other people's records."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kdbench.errors import BadValue
from kdbench.store.spec import PHASES

SCALES = ("smoke", "lite", "paper")
NAME = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,199}")  # one folder or file, not hidden
ALLOWED = {
    "scale": re.compile("|".join(SCALES)),
    "phase": re.compile("|".join(PHASES)),
    "digest": re.compile(r"[0-9a-f]{12}"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the paths of a run are made of; see `kdbench.store.spec.RunSpec`."""

    scale: str
    phase: str
    dataset: str
    cell: str
    digest: str

    @property
    def title(self) -> str:
        """For lines of text, as a run's."""
        return f"{self.phase} {self.dataset} {self.cell}"


def place_of(spec: Mapping[str, Any], where: object) -> Place:
    """The place that a record's specification names.

    Args:
        spec: the record's "spec".
        where: the file, for errors.

    Raises:
        BadValue: a part that is missing, or that is no name of one file or folder.
    """
    parts = {field.name: spec.get(field.name) for field in fields(Place)}
    for name, text in parts.items():
        if not isinstance(text, str) or not ALLOWED.get(name, NAME).fullmatch(text):
            raise BadValue(f"{where}, spec.{name}", text, "what a run's record has there")
    return Place(**{name: str(text) for name, text in parts.items()})
