"""How the numbers of an exhibit were made, summed up from its records."""

from collections.abc import Iterable, Sequence
from typing import Any

from kdbench.report.readings.records import Record
from kdbench.store.spec import RunSpec

DEVICES, VERSIONS, DIRTY = "mixed devices", "mixed versions", "uncommitted code"
MOST = 10  # seeds, commits or devices named before "and … more"


def made_with(runs: Sequence[tuple[RunSpec, Record]], kind: str) -> str:
    """One sentence: seeds, devices, precision, commits, version of torch, hours.

    Args:
        runs: finished runs behind the exhibit, each once.
        kind: of exhibit: "table", "figure" or "summary".
    """
    if not runs:
        return f"No run behind this {kind} is finished yet."
    trained = [(spec, record) for spec, record in runs if spec.phase != "data"]
    used = [record.at("provenance") for _, record in trained] or [{}]
    students = [record.at("provenance", "seed") for s, record in trained if s.phase == "student"]
    facts = [
        _named("seed", "seeds", students),
        _named("device", "devices", (p.get("device") for p in used)),
        _named("precision", "precisions", (p.get("precision") for p in used)),
        _named("CPU threads", "CPU threads", (p.get("threads") for p in used)),
        _named("commit", "commits", (_commit(p.get("commit"), p.get("dirty")) for p in used)),
        _named("torch", "torch", (p.get("versions", {}).get("torch") for p in used)),
        f"{hours(record for _, record in runs)} of work; finished runs: {len(runs)}",
    ]
    return f"Made with {'; '.join(filter(None, facts))} (all runs behind this {kind})."


def unlike(records: Iterable[Record]) -> tuple[str, ...]:
    """What keeps the runs of one cell from being alike: `DEVICES`, `VERSIONS`, `DIRTY`.

    Args:
        records: of its finished runs, which should differ in their seeds alone.
    """
    used = [record.content.get("provenance", {}) for record in records]
    devices = {p.get("device") for p in used} - {None}
    versions = {p.get("versions", {}).get("torch") for p in used} - {None}
    seen = {
        DEVICES: len(devices) > 1,
        VERSIONS: len(versions) > 1,
        DIRTY: any(p.get("dirty") for p in used),
    }
    return tuple(name for name, holds in seen.items() if holds)


def remarks(runs: Sequence[tuple[RunSpec, Record]]) -> list[str]:
    """The notes in the runs' own records, each with the run's title."""
    return [f"{s.title}: {note}" for s, record in runs for note in record.content.get("notes", [])]


def hours(records: Iterable[Record]) -> str:
    """Device work of records, as text with its unit."""
    seconds = sum(record.number("cost", "seconds") for record in records)
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _commit(commit: str | None, dirty: bool | None) -> str | None:
    if not commit:
        return None
    return f"{commit[:10]} with uncommitted changes" if dirty else commit[:10]


def _named(one: str, many: str, values: Iterable[Any]) -> str:
    distinct = {v if isinstance(v, int) else str(v) for v in values if v is not None}
    ordered = sorted(distinct, key=lambda v: (isinstance(v, str), v))
    listed = ", ".join(str(value) for value in ordered[:MOST])
    more = f" and {len(ordered) - MOST} more" if len(ordered) > MOST else ""
    return f"{one if len(ordered) == 1 else many} {listed}{more}" if ordered else ""
