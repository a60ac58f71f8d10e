"""Printed numbers, from the CSV files beside the papers' declarations."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite, nan
from pathlib import Path

from kdbench.errors import BadValue


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


COLUMNS = ("exhibit", "setting", "method", "metric", "value", "spread", "source")


@cache
def read_published(file: Path) -> dict[tuple[str, str, str, str], Published]:
    """All numbers of one CSV file by (exhibit, setting, method, metric).

    An empty source is that of the row above.

    Raises:
        BadValue: a column is missing, the first row has no source, a number is none, or two rows
            are of one number; the line names the file and the row's line.
    """
    numbers, source = dict[tuple[str, str, str, str], Published](), ""
    with file.open(newline="", encoding="utf-8") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BadValue(f"{file}, line 1", reader.fieldnames, f"a column {missing[0]!r}")
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            source = row["source"] or source
            if not source:
                raise BadValue(
                    f"{where}, source", "", "where the number was read, in the first row"
                )
            key = (row["exhibit"], row["setting"], row["method"], row["metric"])
            if key in numbers:
                raise BadValue(where, ", ".join(key), "each number once")
            numbers[key] = _published(row, source, where)
    return numbers


def _published(row: Mapping[str, str | None], source: str, where: str) -> Published:
    """One row's number.

    Raises:
        BadValue: its value, spread or number of runs is no number.
    """
    spread = _number(row, "spread", where) if row["spread"] else None
    runs = _number(row, "runs", where) if row.get("runs") else 0
    value = _number(row, "value", where)
    return Published(value, spread, source, row.get("comparable") != "no", int(runs))


def _number(row: Mapping[str, str | None], column: str, where: str) -> float:
    text = row[column] or ""
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise BadValue(f"{where}, {column}", text, "a number")
    return number
