"""One row or run against another: is it better, by more than chance?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from kdbench.exhibits.tables import Table
from kdbench.plan.graph import Graph
from kdbench.report.readings.cells import Result, epoch_of, head, values
from kdbench.report.readings.records import Records
from kdbench.report.readings.statistics import welch


class ClaimState(Enum):
    """Where a claim stands; the values are what reports print."""

    HOLDS = "holds"
    FAILS = "does not"
    UNTESTED = "not testable yet"


DECISIONS = {
    ClaimState.HOLDS: "better, by more than chance",
    ClaimState.FAILS: "worse, by more than chance",
    ClaimState.UNTESTED: "not decided by these runs",
}
NO_SPREAD = "not decided: needs a spread for both"
LARGER = "not decided: a student is larger than its budget"


@dataclass(frozen=True)
class Comparison:
    """One claim of the form "a is better than b".

    Attributes:
        name: for readers.
        first: values of a, one per seed; none where its runs are missing.
        second: values of b, likewise.
        higher: whether higher values are better.
        unfair: why the two may not be compared; "" where they may.
        group: what it has in common with those that it is averaged with, for readers.
        cells: digests of the two cells, so that one that is in several comparisons is known.
        printed: by how much a is better in the paper's numbers; None where it has none.
    """

    name: str
    first: Sequence[float]
    second: Sequence[float]
    higher: bool = True
    unfair: str = ""
    group: str = ""
    cells: tuple[str, str] = ("", "")
    printed: float | None = None

    @property
    def complete(self) -> bool:
        """Whether both sides have values."""
        return bool(self.first and self.second)

    def lead(self, tries: int = 1) -> tuple[float, float | None]:
        """By how much a is better, and half the 95 % interval of that; see `welch`."""
        gap, half = welch(self.first, self.second, tries)
        return (gap if self.higher else -gap), half

    def state(self, tries: int = 1) -> ClaimState:
        """Clearly better, clearly worse, or within the seeds' spread; `tries` as in `welch`."""
        lead, half = self.lead(tries)
        if self.unfair or half is None or abs(lead) <= half:
            return ClaimState.UNTESTED
        return ClaimState.HOLDS if lead > 0 else ClaimState.FAILS


def row_comparisons(
    graph: Graph, table: Table, cells: Sequence[Result], records: Records
) -> list[Comparison]:
    """The comparisons that a table declares, in every column where both rows are done.

    None at a scale of stand-ins, whose runs say nothing about any row.
    """
    if graph.scale.stand_in:
        return []
    return list(_row_comparisons(graph, table, cells, records))


def in_words(comparison: Comparison, tries: int) -> str:
    """The lead, its interval and what they decide, as one clause; `tries` as in `welch`."""
    lead, half = comparison.lead(tries)
    spread = "" if half is None else f" (±{half:.2f})"
    decision = NO_SPREAD if half is None else DECISIONS[comparison.state(tries)]
    return f"{lead:+.2f}{spread}, {comparison.unfair or decision}"


def _row_comparisons(
    graph: Graph, table: Table, cells: Sequence[Result], records: Records
) -> Iterator[Comparison]:
    by_place = {(cell.cell.row.label, cell.cell.column): cell for cell in cells}
    columns = dict.fromkeys(cell.cell.column for cell in cells)
    for labels, column in product(table.comparisons, columns):
        done = [by_place[label, column] for label in labels if (label, column) in by_place]
        if len(done) < 2 or not all(cell.ours for cell in done):
            continue
        place = head(graph, column).replace("<br>", " ")
        where = f" ({place})" if len(table.all_columns) > 1 else ""
        yield Comparison(
            f"{labels[0]} against {labels[1]}{where}",
            _values(table, done[0], records),
            _values(table, done[1], records),
            higher=table.metric.higher_is_better,
            unfair=LARGER if any(cell.missed for cell in done) else "",
        )


def _values(table: Table, cell: Result, records: Records) -> list[float]:
    assert cell.cell.evaluation is not None
    record = records.get(cell.cell.evaluation)
    assert record is not None
    return values(record, epoch_of(table), table.metric)
