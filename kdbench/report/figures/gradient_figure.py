"""Draws what pulls at DFA's β: each path's gradient over the search, and their cosine."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, sheet
from kdbench.report.presentation import Presentation, TextTable, optional
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.path_gradients import COSINE, PathGradients, read_path_gradients
from kdbench.report.readings.records import FinishedRuns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, HEIGHT = 3.2, 3.6  # inches
PATHS = {"st": "student to teacher", "ts": "teacher to student", "fd": "plain loss"}


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """The gradients of every search."""
    searches = [read_path_gradients(key, spec, record) for key, (spec, record) in runs.items()]
    return Presentation(
        numbers=frame(searches),
        table=table(searches),
        draw=partial(draw, searches, figure.title, notice_of(graph)),
    )


def frame(searches: Sequence[PathGradients]) -> "pd.DataFrame":
    """One line per search and listed step."""
    import pandas as pd

    return pd.concat([one.frame() for one in searches], ignore_index=True)


def table(searches: Sequence[PathGradients]) -> TextTable:
    """One line per search and group: medians over the group's turn."""
    lines = [
        [
            one.name,
            str(group),
            *(optional(one.middle(path, group), ".2e") for path in ("st", "ts")),
            optional(one.middle(COSINE, group), "+.2f"),
        ]
        for one in searches
        for group in one.groups
    ]
    heads = ["search", "group", *(f"gradient, {PATHS[path]}" for path in ("st", "ts"))]
    return TextTable([*heads, "cosine of the two"], lines)


def draw(searches: Sequence[PathGradients], title: str, banner: str) -> "Figure":
    """Two panels per search, norms above the cosine, labelled `name, norms` and `name, cosine`."""
    from matplotlib.style import context

    with context(["default", STYLE]):
        figure = sheet(PANEL * len(searches), HEIGHT, title, banner)
        panels = figure.subplots(2, len(searches), squeeze=False, sharex="col")
        for one, norms, cosine in zip(searches, *panels, strict=True):
            _norms(norms, one)
            _cosine(cosine, one)
        panels[0][0].set_ylabel("norm of the gradient in β")
        panels[1][0].set_ylabel("cosine")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.supxlabel("search epoch", fontsize="medium")
    return figure


def _norms(axes: "Axes", one: PathGradients) -> None:
    """A line per path, broken where β rested."""
    for path, colour in zip(one.paths, COLOURS, strict=False):
        values = [float("nan") if v is None else v for v in one.values[path]]
        axes.plot(one.epochs, values, color=colour, linewidth=1.3, label=PATHS.get(path, path))
    if any(v for path in one.paths for v in one.values[path]):
        axes.set_yscale("log")
    _turns(axes, one)
    axes.set_title(one.name, fontsize="medium")
    axes.set_label(f"{one.name}, norms")


def _cosine(axes: "Axes", one: PathGradients) -> None:
    values = [float("nan") if v is None else v for v in one.values.get(COSINE, [])]
    axes.plot(one.epochs[: len(values)], values, color="0.2", linewidth=1.0)
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    _turns(axes, one)
    axes.set_label(f"{one.name}, cosine")


def _turns(axes: "Axes", one: PathGradients) -> None:
    """A vertical line where the next group's turn begins."""
    for place in range(1, len(one.turns)):
        if one.turns[place] != one.turns[place - 1]:
            axes.axvline(one.epochs[place], color="0.8", linewidth=0.8, zorder=0)
