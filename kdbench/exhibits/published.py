"""Printed numbers, from the CSV files beside the papers' declarations."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
        spread: as printed; None where none is.
        source: how we know it.
        comparable: whether it may be compared with ours.
        runs: of how many it is the mean; 0 where that is not known.
    """

    value: float
    spread: float | None
    source: str
    comparable: bool = True
    runs: int = 0


@cache
def read_published(file: Path) -> dict[tuple[str, str, str, str], Published]:
    """All numbers of one CSV file by (exhibit, setting, method, metric).

    An empty source is that of the row above.
    """
    numbers, source = {}, ""
    with file.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            source = row["source"] or source
            numbers[row["exhibit"], row["setting"], row["method"], row["metric"]] = Published(
                float(row["value"]),
                float(row["spread"]) if row["spread"] else None,
                source,
                row.get("comparable") != "no",
                int(row.get("runs") or 0),
            )
    return numbers
