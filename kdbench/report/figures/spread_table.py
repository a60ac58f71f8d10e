"""How far a search moved from its start, and how far apart its seeds end: a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import Drawn, csv_bytes, pipe
from kdbench.report.readings.process import read_rows
from kdbench.report.readings.records import Record
from kdbench.report.readings.statistics import correlation
from kdbench.store.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

SEED = "|"  # between a search's name and its seed in the names of the asks
NOTE = (
    "Searched weights are those of the end; what SBS finds is the share of channels that every "
    "connection keeps. Moved: sum of absolute changes since the start, in percent of the start's "
    "sum. Apart: the same between the ends of two seeds, mean over all twos. Agreement: Pearson's "
    "correlation of two seeds' changes, mean over all twos; 1 where every seed finds the same, "
    "0 where the seed decides."
)


@dataclass(frozen=True)
class Ends:
    """What one search with one seed started from and ended at, in the same order."""

    start: list[float]
    end: list[float]

    @property
    def changes(self) -> list[float]:
        """End minus start."""
        return [after - before for before, after in zip(self.start, self.end, strict=True)]

    def moved(self) -> float:
        """Sum of absolute changes in percent of the start's sum."""
        return 100 * sum(map(abs, self.changes)) / sum(map(abs, self.start))

    def apart(self, other: "Ends") -> float:
        """Sum of absolute differences of two ends, in percent of the start's sum."""
        between = zip(self.end, other.end, strict=True)
        return 100 * sum(abs(a - b) for a, b in between) / sum(map(abs, self.start))


def render(
    figure: exhibits.Figure, graph: Graph, runs: Mapping[str, tuple[RunSpec, Record]]
) -> Drawn:
    """A table in Markdown and CSV, a line a search."""
    found: dict[str, list[Ends]] = {}
    for name, (_, record) in runs.items():
        found.setdefault(name.partition(SEED)[0], []).append(read_ends(record))
    lines = [spread(name, ends) for name, ends in found.items()]
    return Drawn({"csv": csv_bytes(frame(lines))}, body(lines))


def read_ends(record: Record) -> Ends:
    """Start and end of a searched process, or of a structure's connections.

    Raises:
        DamagedData: the record has neither.
    """
    if "structure" not in record.at():
        rows = read_rows(record)
        return Ends(list(rows.weights[0]), list(rows.weights[-1]))
    kept = [
        record.number("structure", "connections", reader, maker, 1)
        / record.number("structure", "connections", reader, maker, 0)
        for reader in sorted(record.at("structure", "connections"))
        for maker in sorted(record.at("structure", "connections", reader))
    ]
    return Ends([1.0] * len(kept), kept)


@dataclass(frozen=True)
class Spread:
    """One search over its seeds; no spread where there is one seed alone."""

    search: str
    seeds: int
    moved: float
    apart: float | None
    agreement: float | None


def spread(name: str, ends: Sequence[Ends]) -> Spread:
    """Means over the seeds, or over all twos of them."""
    twos = list(combinations(ends, 2))
    alike = [correlation(one.changes, other.changes) for one, other in twos]
    there = [found.r for found in alike if found]
    return Spread(
        search=name,
        seeds=len(ends),
        moved=fmean(one.moved() for one in ends),
        apart=fmean(one.apart(other) for one, other in twos) if twos else None,
        agreement=fmean(there) if there else None,
    )


def frame(lines: Sequence[Spread]) -> "pd.DataFrame":
    """A line a search."""
    import pandas as pd

    return pd.DataFrame([asdict(line) for line in lines], columns=[f.name for f in fields(Spread)])


def body(lines: Sequence[Spread]) -> str:
    """The same as Markdown."""

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [
        [
            line.search,
            str(line.seeds),
            shown(line.moved, ".1f"),
            shown(line.apart, ".1f"),
            shown(line.agreement, "+.2f"),
        ]
        for line in lines
    ]
    heads = ["search", "seeds", "moved from its start (%)", "apart between seeds (%)"]
    return f"{pipe(cells, [*heads, 'agreement of the seeds'])}\n\n{NOTE}"
