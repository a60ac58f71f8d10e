"""The searched process as a record tells it: what the figure draws and its CSV holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.report.readings.records import Record, as_search
from kdbench.store.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

NAME = re.compile(r"t(\d+)-s(\d+)-(.+)")


@dataclass(frozen=True)
class Pathway:
    """One teacher map, seen through one transform of one student map."""

    name: str
    teacher: int
    student: int
    transform: str


@dataclass(frozen=True)
class PathwayProcess:
    """Weights of n pathways at the steps that the record lists.

    Attributes:
        epochs: progress of the search at each of the steps, in epochs.
        weights: one row of n numbers per step, as recorded.
    """

    pathways: list[Pathway]
    steps: list[int]
    epochs: list[float]
    weights: list[list[float]]

    def maps(self) -> list[int]:
        """The teacher maps, lowest first."""
        return sorted({pathway.teacher for pathway in self.pathways})

    def curves(self, teacher: int) -> list[tuple[Pathway, list[float]]]:
        """Each pathway of one teacher map with its weight over the steps."""
        return [
            (pathway, [row[i] for row in self.weights])
            for i, pathway in enumerate(self.pathways)
            if pathway.teacher == teacher
        ]

    def total(self, teacher: int) -> list[float]:
        """Sum of the weights of one teacher map, over the steps."""
        return [sum(row) for row in zip(*(c for _, c in self.curves(teacher)), strict=True)]

    def frame(self) -> "pd.DataFrame":
        """One line per listed step: its epoch, each pathway's weight, each teacher map's sum."""
        import pandas as pd

        columns = {p.name: [row[i] for row in self.weights] for i, p in enumerate(self.pathways)}
        totals = {f"sum-t{teacher}": self.total(teacher) for teacher in self.maps()}
        return pd.DataFrame({"step": self.steps, "epoch": self.epochs, **columns, **totals})


@dataclass(frozen=True)
class Rows:
    """A search's process, whatever was searched: n named weights at the listed steps.

    Attributes:
        total: steps of the whole search.
    """

    names: list[str]
    steps: list[int]
    weights: list[list[float]]
    total: int


def read_rows(record: Record) -> Rows:
    """The process in any search's record.

    Raises:
        DamagedData: a row's length or a number is not what it should be.
    """
    names = [str(name) for name in record.items("process", "pathways")]
    rows = range(len(record.items("process", "weights")))
    if len(record.items("process", "steps")) != len(rows):
        raise record.damaged(("process", "steps"), "another length", f"{len(rows)} steps")
    steps = [int(record.number("process", "steps", i)) for i in rows]
    weights = [_weights_of_step(record, i, len(names)) for i in rows]
    total = record.number("process", "total_steps")
    if total <= 0:
        raise record.damaged(("process", "total_steps"), repr(total), "a number above 0")
    return Rows(names, steps, weights, int(total))


def read_process(spec: RunSpec, record: Record) -> PathwayProcess:
    """The process in the record of a search among pathways.

    Raises:
        DamagedData: a pathway's name, a row's length or a number is not what it should be.
    """
    rows = read_rows(record)
    length = float(as_search(spec).recipe.epochs)
    epochs = [step * length / rows.total for step in rows.steps]
    return PathwayProcess(_pathways(record, rows.names), rows.steps, epochs, rows.weights)


def _weights_of_step(record: Record, i: int, n: int) -> list[float]:
    count = len(record.items("process", "weights", i))
    if count != n:
        expected = f"{n}, one per pathway"
        raise record.damaged(("process", "weights", i), f"{count} numbers", expected)
    return [record.number("process", "weights", i, j) for j in range(n)]


def _pathways(record: Record, names: Sequence[object]) -> list[Pathway]:
    matches = [(str(name), NAME.fullmatch(str(name))) for name in names]
    for name, match in matches:
        if match is None:
            raise record.damaged(("process", "pathways"), name, "a name like t1-s3-complex")
    return [Pathway(name, int(m[1]), int(m[2]), m[3]) for name, m in matches if m]
