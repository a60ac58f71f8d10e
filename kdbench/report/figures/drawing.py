"""What all figures share: colours, style, the heading with its notice. Equal input, equal bytes."""

import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

Line = Literal["-", "--", ":", "-."]

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
BLANK = "#dfe8f2"  # where a matrix has no value: no colour of the scales in use
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


def images(figure: "Figure", source: str) -> Mapping[str, bytes]:
    """A figure in every format of a report, by kind; the SVG names what it was drawn from."""
    return {"png": png(figure), "pdf": pdf(figure), "svg": svg(figure, source)}


def sheet(width: float, height: float, title: str, banner: str) -> "Figure":
    """An empty figure under a title and the report's notice.

    Use it, and draw on it, within `matplotlib.style.context(["default", STYLE])`.

    Args:
        width: inches.
        height: inches for the axes; the heading is added.
        title: bold, wrapped.
        banner: red, wrapped; "" for none.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    notice = textwrap.fill(banner, int(width * 14)) if banner else ""
    heading = textwrap.fill(title, int(width * 9.8))
    top = 0.34 + 0.18 * heading.count("\n")
    head = top + 0.01 + 0.17 * (notice.count("\n") + 1 if notice else 0)
    figure = Figure(figsize=(width, height + head), layout="constrained")
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    total = height + head
    engine.set(rect=(0, 0, 1, 1 - head / total))
    figure.text(0.01, 1 - 0.08 / total, heading, va="top", weight="bold", fontsize="large")
    if notice:
        figure.text(0.01, 1 - top / total, notice, va="top", color="#a00000", fontsize="small")
    return figure


def matrix(
    axes: "Axes",
    values: Sequence[Sequence[float | None]],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    colours: str = "cividis",
    form: str = "{:.2f}",
) -> "QuadMesh":
    """Coloured cells, the first row on top, with their values written into them.

    Args:
        axes: get no grid; a cell's middle is at whole numbers.
        values: rows, which may be of unequal length; None leaves a cell blank.
        bounds: values at the ends of the colour scale.
        colours: name of a colour scale.
        form: of the written values; "" writes none.
    """
    import numpy as np

    widest = max(len(row) for row in values)
    filled = [[np.nan if v is None else v for v in row] for row in values]
    padded = np.array([[*row, *[np.nan] * (widest - len(row))] for row in filled])
    edges = np.arange(widest + 1) - 0.5, np.arange(len(padded) + 1) - 0.5
    masked = np.ma.masked_invalid(padded)
    mesh = axes.pcolormesh(*edges, masked, cmap=colours, vmin=bounds[0], vmax=bounds[1])
    axes.grid(False)
    axes.set_facecolor(BLANK)
    axes.invert_yaxis()
    for (i, j), value in np.ndenumerate(padded):
        if form and not np.isnan(value):
            red, green, blue, _ = mesh.cmap(mesh.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # luma of Rec. 601
            colour = "white" if dark else "black"
            text = form.format(value)
            axes.text(j, i, text, color=colour, ha="center", va="center", fontsize="small")
    return mesh


def svg(figure: "Figure", source: str) -> bytes:
    """The figure as SVG, without the date of making."""
    return _bytes(figure, "svg", {"Date": None, "Creator": "kdbench", "Identifier": source})


def png(figure: "Figure") -> bytes:
    """The figure as PNG, for places that show no SVG."""
    return _bytes(figure, "png", {"Software": "kdbench"})


def pdf(figure: "Figure") -> bytes:
    """The figure as PDF for papers, without the date of making."""
    return _bytes(figure, "pdf", {"CreationDate": None, "ModDate": None, "Creator": "kdbench"})


def _bytes(figure: "Figure", form: str, metadata: dict[str, str | None]) -> bytes:
    from matplotlib.style import context

    buffer = BytesIO()
    with context(["default", STYLE]):
        figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()
