"""Draws how alike searched processes are: an annotated matrix of correlations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import STYLE, Drawn, drawn, matrix, pipe, sheet
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.course import POINTS, Course, likeness, read_course
from kdbench.report.readings.records import Record
from kdbench.store.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CELL, MARGIN = 0.9, 2.2  # inches


def render(
    figure: exhibits.Figure, graph: Graph, runs: Mapping[str, tuple[RunSpec, Record]]
) -> Drawn:
    """Correlations as SVG, PNG and CSV, with what every search found and cost."""
    courses = [read_course(name, record) for name, (_, record) in runs.items()]
    return drawn(draw(courses, figure.title, notice_of(graph)), frame(courses), body(courses))


def body(courses: Sequence[Course]) -> str:
    """A line a search: what it cost, and every teacher map's mean weight at both ends."""
    ends = [(course.per_map(0), course.per_map(POINTS - 1)) for course in courses]
    maps = sorted({number for begin, _ in ends for number in begin})
    lines = []
    for course, (begin, end) in zip(courses, ends, strict=True):
        moved = [
            f"{begin[number]:.4f} → {end[number]:.4f}" if number in begin else "" for number in maps
        ]
        pace = f"{course.steps / course.seconds:.2f}" if course.seconds > 0 else ""
        lines.append([course.name, *moved, f"{course.seconds:.0f}", pace])
    heads = ["search", *(f"mean weight of teacher map {number}" for number in maps)]
    note = "Weights at the beginning → at the end of the search; seconds are the device's work."
    return pipe(lines, [*heads, "seconds", "steps per second"]) + f"\n\n{note}"


def frame(courses: Sequence[Course]) -> "pd.DataFrame":
    """A line a pair of searches; `said` is why there is no number."""
    import pandas as pd

    lines = []
    for i, one in enumerate(courses):
        for other in courses[i + 1 :]:
            found = likeness(one, other)
            there = isinstance(found, float)
            names = {"search": one.name, "other": other.name}
            lines.append(
                {**names, "correlation": found if there else None, "said": "" if there else found}
            )
    return pd.DataFrame(lines, columns=["search", "other", "correlation", "said"])


def draw(courses: Sequence[Course], title: str, banner: str) -> "Figure":
    """One panel; where there is no number its cell says why."""
    from matplotlib.style import context

    found = [[likeness(one, other) for other in courses] for one in courses]
    names = [course.name.replace(":", "\n") for course in courses]
    side = CELL * len(courses) + MARGIN
    with context(["default", STYLE]):
        figure = sheet(side + 1.5, side, title, banner)
        axes = figure.subplots()
        numbers = [[v if isinstance(v, float) else None for v in row] for row in found]
        mesh = matrix(axes, numbers, bounds=(-1.0, 1.0), colours="PuOr")
        for i, row in enumerate(found):
            for j, value in enumerate(row):
                if isinstance(value, str):
                    text = value.replace(" ", "\n")
                    axes.text(j, i, text, ha="center", va="center", fontsize="x-small")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
        axes.set_yticks(range(len(names)), names, fontsize="small")
        figure.colorbar(mesh, ax=axes, label="correlation of the weights")
    return figure
