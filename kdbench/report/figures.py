"""Draws the searched process. Equal records give equal bytes."""

import textwrap
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kdbench.report.process import Process

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Key = TypeVar("Key")
Look = TypeVar("Look")
Line = Literal["-", "--", ":", "-."]

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLES: tuple[Line, ...] = ("-", "--", ":", "-.")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "kdbench",  # otherwise ids in the SVG are random
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
PANEL, HEIGHT, LEGEND = 2.5, 3.2, 1.5  # inches
TOTALS = "totals"  # label of the axes that are no panel of a teacher map


def draw(process: Process, title: str, banner: str) -> "Figure":
    """One panel a teacher map, then their sums; axes are labelled `t1`, `t2`, …, `totals`."""
    from matplotlib.figure import Figure
    from matplotlib.style import context

    maps = process.maps()
    width = PANEL * (len(maps) + 1) + LEGEND
    notice = textwrap.fill(banner, int(width * 14)) if banner else ""
    head = 0.35 + 0.17 * (notice.count("\n") + 1 if notice else 0)
    with context(["default", STYLE]):
        figure = Figure(figsize=(width, HEIGHT + head), layout="constrained")
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
        _heading(figure, title, notice, head)
    return figure


def svg(figure: "Figure") -> bytes:
    """The figure as SVG, without the date of making."""
    return _bytes(figure, "svg", {"Date": None, "Creator": "kdbench"})


def png(figure: "Figure") -> bytes:
    """The figure as PNG, for places that show no SVG."""
    return _bytes(figure, "png", {"Software": "kdbench"})


def _looks(process: Process) -> tuple[dict[int, str], dict[str, Line]]:
    students = sorted({pathway.student for pathway in process.pathways})
    transforms = dict.fromkeys(pathway.transform for pathway in process.pathways)
    return _cycled(students, COLOURS), _cycled(transforms, STYLES)


def _cycled(keys: Iterable[Key], values: Sequence[Look]) -> dict[Key, Look]:
    return {key: values[i % len(values)] for i, key in enumerate(keys)}


def _panel(
    axes: "Axes",
    process: Process,
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


def _totals(axes: "Axes", process: Process) -> None:
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


def _heading(figure: "Figure", title: str, notice: str, inches: float) -> None:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = figure.get_figheight()
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, 1 - inches / height))
    figure.text(0.01, 1 - 0.08 / height, title, va="top", weight="bold", fontsize="large")
    if notice:
        figure.text(0.01, 1 - 0.34 / height, notice, va="top", color="#a00000", fontsize="small")


def _bytes(figure: "Figure", form: str, metadata: dict[str, str | None]) -> bytes:
    from matplotlib.style import context

    buffer = BytesIO()
    with context(["default", STYLE]):
        figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()
