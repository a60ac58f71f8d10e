"""Draws the searched process: one panel per teacher map, then their sums."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, STYLES, Line, sheet
from kdbench.report.presentation import Presentation, TextTable
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.process import PathwayProcess, read_process
from kdbench.report.readings.records import FinishedRuns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Key = TypeVar("Key")
Look = TypeVar("Look")

PANEL, HEIGHT, LEGEND = 2.5, 3.2, 1.5  # inches
TOTALS = "totals"  # label of the axes that are no panel of a teacher map


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """A searched process, and its sums over time."""
    ((spec, record),) = runs.values()
    process = read_process(spec, record)
    return Presentation(
        numbers=process.frame(),
        table=totals_table(process),
        draw=partial(draw, process, figure.title, notice_of(graph)),
    )


def totals_table(process: PathwayProcess) -> TextTable:
    """The sum of the weights of every teacher map at five points of the search."""
    last = len(process.steps) - 1
    points = sorted({round(last * quarter / 4) for quarter in range(5)})
    heads = ["sum of weights", *(f"epoch {process.epochs[i]:.1f}" for i in points)]
    lines = [
        [f"to teacher map {teacher}", *(f"{process.total(teacher)[i]:.3f}" for i in points)]
        for teacher in process.maps()
    ]
    return TextTable(heads, lines)


def draw(process: PathwayProcess, title: str, banner: str) -> "Figure":
    """One panel per teacher map, then their sums; axes are labelled `t1`, `t2`, …, `totals`."""
    from matplotlib.style import context

    maps = process.maps()
    with context(["default", STYLE]):
        figure = sheet(PANEL * (len(maps) + 1) + LEGEND, HEIGHT, title, banner)
        panels = figure.subplots(1, len(maps) + 1, squeeze=False)[0]
        colours, styles = _looks(process)
        for teacher, axes in zip(maps, panels, strict=False):
            _panel(axes, process, teacher, colours, styles)
            if axes is not panels[0]:
                axes.sharey(panels[0])
                axes.tick_params(labelleft=False)
        _totals(panels[-1], process)
        panels[0].set_ylabel("weight of a pathway")
        figure.supxlabel("search epoch", fontsize="medium")
        figure.legend(handles=_legend(colours, styles), loc="outside right center")
    return figure


def _looks(process: PathwayProcess) -> tuple[dict[int, str], dict[str, Line]]:
    students = sorted({pathway.student for pathway in process.pathways})
    transforms = dict.fromkeys(pathway.transform for pathway in process.pathways)
    return _cycled(students, COLOURS), _cycled(transforms, STYLES)


def _cycled(keys: Iterable[Key], values: Sequence[Look]) -> dict[Key, Look]:
    return {key: values[i % len(values)] for i, key in enumerate(keys)}


def _panel(
    axes: "Axes",
    process: PathwayProcess,
    teacher: int,
    colours: dict[int, str],
    styles: dict[str, Line],
) -> None:
    for pathway, weights in process.curves(teacher):
        axes.plot(
            process.epochs,
            weights,
            color=colours[pathway.student],
            linestyle=styles[pathway.transform],
            linewidth=1.3,
            label=pathway.name,
        )
    axes.set_title(f"to teacher map {teacher}", fontsize="medium")
    axes.set_label(f"t{teacher}")


def _totals(axes: "Axes", process: PathwayProcess) -> None:
    shades = process.maps()
    for i, teacher in enumerate(shades):
        grey = str(0.75 * (1 - (i + 1) / len(shades)))
        axes.plot(process.epochs, process.total(teacher), color=grey, linewidth=1.8)
        end = (process.epochs[-1], process.total(teacher)[-1])
        offset = (4.0, 0.0)
        axes.annotate(f"{teacher}", end, offset, textcoords="offset points", va="center")
    axes.set_title("sum of each teacher map", fontsize="medium")
    axes.set_label(TOTALS)


def _legend(colours: dict[int, str], styles: dict[str, Line]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    return [
        *(
            Line2D([], [], color=c, linewidth=3, label=f"student map {s}")
            for s, c in colours.items()
        ),
        *(
            Line2D([], [], color="0.3", linestyle=style, label=f"transform {t}")
            for t, style in styles.items()
        ),
    ]
