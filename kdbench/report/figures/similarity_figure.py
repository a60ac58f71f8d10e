"""Draws how alike searched processes are: an annotated matrix of correlations."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.exhibits.keys import RunKey
from kdbench.exhibits.requests import Pair
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import STYLE, matrix, sheet
from kdbench.report.presentation import Presentation, TextTable
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.course import POINTS, Course, likeness, read_course
from kdbench.report.readings.records import FinishedRuns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CELL, MARGIN = 0.9, 2.2  # inches
NOTE = "Weights at the beginning → at the end of the search; seconds are the device's work."


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Correlations, and what every search ended with and cost."""
    courses = [read_course(key, record) for key, (_, record) in runs.items()]
    return Presentation(
        numbers=frame(courses),
        table=table(courses),
        draw=partial(draw, courses, figure.title, notice_of(graph)),
        notes=(NOTE,),
    )


def table(courses: Sequence[Course]) -> TextTable:
    """One line per search: what it cost, and every teacher map's mean weight at both ends."""
    ends = [(course.per_map(0), course.per_map(POINTS - 1)) for course in courses]
    maps = sorted({number for begin, _ in ends for number in begin})
    lines = []
    for course, (begin, end) in zip(courses, ends, strict=True):
        moved = [
            f"{begin[number]:.4f} → {end[number]:.4f}" if number in begin else "" for number in maps
        ]
        pace = f"{course.steps / course.seconds:.2f}" if course.seconds > 0 else ""
        lines.append([str(course.key), *moved, f"{course.seconds:.0f}", pace])
    heads = ["search", *(f"mean weight of teacher map {number}" for number in maps)]
    return TextTable([*heads, "seconds", "steps per second"], lines)


def frame(courses: Sequence[Course]) -> "pd.DataFrame":
    """One line per pair of searches; `said` is why there is no number."""
    import pandas as pd

    lines = []
    for one, other in combinations(courses, 2):
        value = likeness(one, other)
        correlation, reason = (value, "") if isinstance(value, float) else (None, value)
        lines.append((str(one.key), str(other.key), correlation, reason))
    return pd.DataFrame(lines, columns=["search", "other", "correlation", "said"])


def draw(courses: Sequence[Course], title: str, banner: str) -> "Figure":
    """One panel; where there is no number its cell says why."""
    from matplotlib.style import context

    likenesses = [[likeness(one, other) for other in courses] for one in courses]
    names = [_tick(course.key) for course in courses]
    side = CELL * len(courses) + MARGIN
    with context(["default", STYLE]):
        figure = sheet(side + 1.5, side, title, banner)
        axes = figure.subplots()
        numbers = [[v if isinstance(v, float) else None for v in row] for row in likenesses]
        mesh = matrix(axes, numbers, bounds=(-1.0, 1.0), colours="PuOr")
        for i, row in enumerate(likenesses):
            for j, value in enumerate(row):
                if isinstance(value, str):
                    text = value.replace(" ", "\n")
                    axes.text(j, i, text, ha="center", va="center", fontsize="x-small")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
        axes.set_yticks(range(len(names)), names, fontsize="small")
        figure.colorbar(mesh, ax=axes, label="correlation of the weights")
    return figure


def _tick(key: RunKey) -> str:
    """A search's label on the axes; a pair takes two lines."""
    return f"{key.teacher}\n{key.student}" if isinstance(key, Pair) else str(key)
