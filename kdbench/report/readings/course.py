"""Searched processes on one axis of time, and how alike two of them are."""

import re
from collections import defaultdict
from dataclasses import dataclass

from kdbench.exhibits.keys import RunKey
from kdbench.report.readings.process import read_rows
from kdbench.report.readings.records import Record
from kdbench.report.readings.statistics import correlation

POINTS = 200  # on the common axis of time, from the beginning of the search to its end
TEACHER_MAP = re.compile(r"t(\d+)-.+")
OTHER_SPACE, NOT_DEFINED = "other space", "not defined"


@dataclass(frozen=True)
class Course:
    """One process on the common axis of time.

    Attributes:
        key: of the search in its figure.
        weights: `POINTS` numbers by pathway.
        seconds: device work of the search.
        steps: of the search.
    """

    key: RunKey
    weights: dict[str, list[float]]
    seconds: float
    steps: float

    def per_map(self, at: int) -> dict[int, float]:
        """Mean weight of every teacher map's pathways at one point of time."""
        by_map: dict[int, list[float]] = defaultdict(list)
        for pathway, weights in self.weights.items():
            if match := TEACHER_MAP.fullmatch(pathway):
                by_map[int(match[1])].append(weights[at])
        return {number: sum(w) / len(w) for number, w in sorted(by_map.items())}


def read_course(key: RunKey, record: Record) -> Course:
    """A recorded process, interpolated linearly; outside of its listed steps it stays.

    Raises:
        DamagedData: see `read_rows`.
    """
    import numpy as np

    rows = read_rows(record)
    last = max(rows.total - 1, 1)
    axis = np.linspace(0, 1, POINTS)
    times = [step / last for step in rows.steps]
    columns = zip(*rows.weights, strict=True)
    weights = {
        pathway: np.interp(axis, times, column).tolist()
        for pathway, column in zip(rows.names, columns, strict=True)
    }
    seconds, steps = record.number("cost", "seconds"), record.number("cost", "steps")
    return Course(key, weights, seconds, steps)


def likeness(one: Course, other: Course) -> float | str:
    """Pearson's correlation over all pathways and times, or why there is none."""
    if one.weights.keys() != other.weights.keys():
        return OTHER_SPACE
    names = sorted(one.weights)
    flat = [[w for name in names for w in course.weights[name]] for course in (one, other)]
    pearson = correlation(*flat)
    return NOT_DEFINED if pearson is None else pearson.r
