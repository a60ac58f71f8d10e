"""How two records of one place differ: parameters, origin, results.

Code may move and labels may change without a change of any number, so neither counts
(`store/identity.py`). Clocks and costs never count.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdbench.store.identity import identity_of

Content = Mapping[str, Any]
Values = tuple[Any, Any]  # in the first record, in the second
ABSENT = "-"
# Of a record's provenance: clocks, what stands in the parameters, and what follows from inputs.
NOT_COMPARED = {"started", "finished", "seed", "threads", "precision", "inputs", "origins"}


@dataclass(frozen=True)
class Difference:
    """Two records of one run, or of two runs that take the same place.

    Attributes:
        first, second: the records.
    """

    first: Content
    second: Content

    @cached_property
    def parameters(self) -> dict[str, Values]:
        """Parameters and revisions that differ, by dotted key."""
        return changed(given(self.first), given(self.second))

    @cached_property
    def inputs(self) -> dict[str, Values]:
        """Upstream runs that differ, by role: digests."""
        return changed(self.first["spec"]["upstream"], self.second["spec"]["upstream"])

    @cached_property
    def origin(self) -> dict[str, Values]:
        """Versions, device, commit, code and data that differ, by dotted key."""
        return changed(*(dict(_origin(record)) for record in (self.first, self.second)))

    @cached_property
    def outcome(self) -> dict[str, Values]:
        """Measured numbers and artifacts that differ, by dotted key."""
        return changed(*(dict(_outcome(record)) for record in (self.first, self.second)))

    @property
    def same(self) -> bool:
        """Whether nothing differs that counts."""
        return not (self.parameters or self.inputs or self.origin or self.outcome)

    @property
    def title(self) -> str:
        """The run, for a line of text."""
        return title_of(self.second)


def title_of(record: Content) -> str:
    """Phase, data set and cell of a record."""
    spec = record["spec"]
    return f"{spec['phase']} {spec['dataset']} {spec['cell']}"


def given(record: Content) -> dict[str, Any]:
    """What a run was given, flattened: parameters without the place of code, and revisions."""
    spec = record["spec"]
    revisions = {f"revision of {name}": value for name, value in spec["revisions"].items()}
    return {**flat(identity_of(spec["params"])), **revisions}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings by dotted key; lists stay values.

    >>> flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(value, Mapping):
        return {prefix: value}
    inner = {f"{prefix}.{key}" if prefix else str(key): part for key, part in value.items()}
    return {key: leaf for name, part in inner.items() for key, leaf in flat(part, name).items()}


def changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Values]:
    """Keys whose values differ, in order; what one side lacks is `ABSENT` there.

    >>> changed({"a": 1, "b": 2}, {"a": 1, "c": 3})
    {'b': (2, '-'), 'c': ('-', 3)}
    """
    pairs = {k: (first.get(k, ABSENT), second.get(k, ABSENT)) for k in {**first, **second}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _origin(record: Content) -> Iterator[tuple[str, Any]]:
    provenance = {"ranks": 1, **record["provenance"]}  # older records do not say it
    yield from flat({k: v for k, v in provenance.items() if k not in NOT_COMPARED}).items()


def _outcome(record: Content) -> Iterator[tuple[str, Any]]:
    measured = {k: v for k, v in record["metrics"].items() if k != "latency"}  # a clock's
    runs = measured.pop("runs", [])
    yield from flat(measured, "metrics").items()
    for place, run in enumerate(runs):
        of_run = {k: v for k, v in run.items() if k not in ("cell", "digest")}
        yield from flat(of_run, f"metrics.run{place}").items()
    for name, entry in record.get("artifacts", {}).items():
        yield f"bytes of {name}", entry["sha256"][:12]
