"""The file of a pruned student: the channels that every reader keeps."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import BadValue, DamagedData
from kdbench.store.atomic import write_text

TEXT = "structure.json"
FORMAT = 1  # raised when the file changes


@dataclass(frozen=True)
class Structure:
    """A smaller network, as channels kept of a larger one.

    Attributes:
        family: class of the larger network, such as "DenseNet".
        arguments: that class's keyword arguments, without classes and image.
        kept: by reader (see `channel_layout`), the channels that it reads, ascending; none where it
            is gone.
        metadata: plain values that JSON can hold: how it was searched, and how large it is.
    """

    family: str
    arguments: dict[str, Any]
    kept: dict[str, list[int]]
    metadata: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """What the search's record says of it; channels kept as one hexadecimal number per reader.

        Channel c counts 2 to the power of c, so that two searches can be compared gate by gate.
        """
        kept = {name: f"{sum(1 << c for c in channels):x}" for name, channels in self.kept.items()}
        about = {"family": self.family, "arguments": self.arguments, "kept": kept}
        return {"structure": {**about, **self.metadata}}

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "format": FORMAT,
            "family": self.family,
            "arguments": self.arguments,
            "kept": self.kept,
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any], where: object = TEXT) -> "Structure":
        """Inverse of `as_dict`.

        Raises:
            DamagedData: keys are missing, or it is of another format.
            BadValue: a reader's channels are not ascending, or negative.
        """
        advice = "run the search again"
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            found = fields.get("format") if isinstance(fields, dict) else type(fields).__name__
            raise DamagedData(where, f"format {found}", FORMAT, advice)
        try:
            parts = (fields["family"], fields["arguments"], fields["kept"], fields["metadata"])
            lists = {name: [int(c) for c in kept] for name, kept in parts[2].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            found = f"unreadable content ({type(problem).__name__})"
            raise DamagedData(where, found, "a structure", advice) from problem
        for name, kept in lists.items():
            if kept != sorted(set(kept)) or any(c < 0 for c in kept):
                raise BadValue(f"{where}, kept, {name}", kept[:5], "ascending channels from 0")
        return cls(parts[0], parts[1], lists, parts[3])

    def save(self, folder: Path) -> None:
        """Write `structure.json`, whole or not at all; one line per reader."""
        fields = self.as_dict()
        lines = [f"  {json.dumps(name)}: {json.dumps(kept)}" for name, kept in self.kept.items()]
        readers = "{\n" + ",\n".join(lines) + "\n }"
        parts = [
            f" {json.dumps(key)}: "
            + (readers if key == "kept" else json.dumps(value, sort_keys=True, allow_nan=False))
            for key, value in fields.items()
        ]
        write_text(folder / TEXT, "{\n" + ",\n".join(parts) + "\n}\n")

    @classmethod
    def load(cls, folder: Path) -> "Structure":
        """Read what `save` wrote.

        Raises:
            DamagedData: the file is missing, unreadable or not of this format.
            BadValue: see `from_dict`.
        """
        file, advice = folder / TEXT, "run the search again"
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as problem:
            raise DamagedData(file, "no such file", "a structure", advice) from problem
        except ValueError as problem:
            raise DamagedData(file, f"no JSON ({problem})", "a structure", advice) from problem
        return cls.from_dict(fields, file)
