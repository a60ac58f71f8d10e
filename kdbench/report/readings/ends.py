"""Where a search started and ended, and how far apart the ends of its seeds are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from kdbench.report.readings.process import read_rows
from kdbench.report.readings.records import Record
from kdbench.report.readings.statistics import correlation


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
        """Sum of absolute changes, in percent of the start's sum."""
        return 100 * sum(map(abs, self.changes)) / sum(map(abs, self.start))

    def apart(self, other: "Ends") -> float:
        """Sum of absolute differences of two ends, in percent of the start's sum."""
        between = zip(self.end, other.end, strict=True)
        return 100 * sum(abs(a - b) for a, b in between) / sum(map(abs, self.start))


@dataclass(frozen=True)
class Spread:
    """One search over its seeds.

    Attributes:
        moved: mean over the seeds, in percent.
        apart: mean over pairs of seeds, in percent; None for one seed.
        agreement: mean correlation of two seeds' changes; None where none is defined.
    """

    search: str
    seeds: int
    moved: float
    apart: float | None
    agreement: float | None


def read_ends(record: Record) -> Ends:
    """Start and end of a searched process, or of the connections of a pruned network.

    Raises:
        DamagedData: the record has neither.
    """
    if "structure" not in record.at():
        rows = read_rows(record)
        return Ends(list(rows.weights[0]), list(rows.weights[-1]))
    shares = [
        record.number("structure", "connections", reader, maker, 1)
        / record.number("structure", "connections", reader, maker, 0)
        for reader in sorted(record.at("structure", "connections"))
        for maker in sorted(record.at("structure", "connections", reader))
    ]
    return Ends([1.0] * len(shares), shares)


def spread(name: str, seeds: Sequence[Ends]) -> Spread:
    """Means over the seeds of one search, or over all pairs of them."""
    pairs = list(combinations(seeds, 2))
    correlations = [correlation(one.changes, other.changes) for one, other in pairs]
    defined = [one.r for one in correlations if one]
    return Spread(
        search=name,
        seeds=len(seeds),
        moved=fmean(one.moved() for one in seeds),
        apart=fmean(one.apart(other) for one, other in pairs) if pairs else None,
        agreement=fmean(defined) if defined else None,
    )
