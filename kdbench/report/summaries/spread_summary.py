"""How far a search moved from its start, and how far apart its seeds end."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from kdbench.errors import BadValue
from kdbench.exhibits.keys import SeedKey
from kdbench.exhibits.tables import Summary
from kdbench.report.presentation import Presentation, TextTable, optional
from kdbench.report.readings.ends import Ends, Spread, read_ends, spread
from kdbench.report.readings.records import FinishedRuns, Records

if TYPE_CHECKING:
    import pandas as pd

NOTE = (
    "Searched weights are those of the end; what SBS finds is the share of channels that every "
    "connection keeps. Moved: sum of absolute changes since the start, in percent of the start's "
    "sum. Apart: the same between the ends of two seeds, mean over all pairs of seeds. Agreement: "
    "Pearson's correlation of two seeds' changes, mean over all pairs; 1 where every seed finds "
    "the same, 0 where the seed decides."
)


def render(summary: Summary, runs: FinishedRuns, records: Records) -> Presentation:
    """One line per search, over its seeds.

    Raises:
        BadValue: the summary's keys are not seeds of searches.
    """
    ends: dict[str, list[Ends]] = {}
    for key, (_, record) in runs.items():
        if not isinstance(key, SeedKey):
            raise BadValue(f"{summary.id}, requests", str(key), "keys that are a SeedKey")
        ends.setdefault(key.search, []).append(read_ends(record))
    spreads = [spread(name, seeds) for name, seeds in ends.items()]
    return Presentation(numbers=frame(spreads), table=table(spreads), notes=(NOTE,))


def frame(spreads: Sequence[Spread]) -> "pd.DataFrame":
    """One line per search."""
    import pandas as pd

    columns = [field.name for field in fields(Spread)]
    return pd.DataFrame([asdict(one) for one in spreads], columns=columns)


def table(spreads: Sequence[Spread]) -> TextTable:
    """One line per search; empty where there is one seed alone."""
    lines = [
        [
            one.search,
            str(one.seeds),
            optional(one.moved, ".1f"),
            optional(one.apart, ".1f"),
            optional(one.agreement, "+.2f"),
        ]
        for one in spreads
    ]
    heads = ["search", "seeds", "moved from its start (%)", "apart between seeds (%)"]
    return TextTable([*heads, "agreement of the seeds"], lines)
