"""Draws searched aggregation weights: a panel a search, a row a group, a column a block."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import STYLE, Drawn, drawn, matrix, pipe, sheet
from kdbench.report.readings.aggregation import Aggregation, read_aggregation
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.records import Record
from kdbench.store.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CELL, ROW, MARGIN = 0.45, 0.5, 1.0  # inches


def render(
    figure: exhibits.Figure, graph: Graph, runs: Mapping[str, tuple[RunSpec, Record]]
) -> Drawn:
    """Searched weights at the end of every search, as SVG, PNG, CSV and small tables."""
    found = [read_aggregation(name, spec, record) for name, (spec, record) in runs.items()]
    image = draw(found, figure.title, notice_of(graph))
    return drawn(image, frame(found), body(found))


def excess(weights: Sequence[float]) -> float:
    """How far from uniform a group is: its largest weight minus 1/n.

    >>> excess([0.25, 0.75])
    0.25
    """
    return max(weights) - 1 / len(weights)


def spreads(found: Sequence[Aggregation]) -> dict[int, float] | None:
    """Largest sample standard deviation of a block's weight over searches, by group.

    None where there are not two searches, or where they have other groups or blocks.
    """
    shapes = {tuple((g, len(w)) for g, w in one.groups.items()) for one in found}
    if len(found) < 2 or len(shapes) > 1:
        return None
    return {
        group: max(
            stdev(block) for block in zip(*(one.groups[group] for one in found), strict=True)
        )
        for group in found[0].groups
    }


def body(found: Sequence[Aggregation]) -> str:
    """A line a search and group; then the spread between searches of one method and teacher."""
    lines = [
        [one.name, str(group), " ".join(f"{w:.3f}" for w in weights), f"{excess(weights):.3f}"]
        for one in found
        for group, weights in one.groups.items()
    ]
    heads = ["search", "group", "weights, shallow to deep", "largest minus 1/n"]
    text = [pipe(lines, heads)]
    kinds: dict[str, list[Aggregation]] = defaultdict(list)
    for one in found:
        kinds[one.kind].append(one)
    for alike in kinds.values():
        spread = spreads(alike)
        if spread is not None:
            named = "; ".join(one.name for one in alike)
            told = ", ".join(f"group {group}: {value:.3f}" for group, value in spread.items())
            text.append(
                f"Largest standard deviation of a block's weight between the {len(alike)} searches "
                f"of one method and teacher ({named}): {told}."
            )
    return "\n\n".join(text)


def frame(found: Sequence[Aggregation]) -> "pd.DataFrame":
    """A line a block."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"search": one.name, "group": group, "block": block, "weight": weight}
            for one in found
            for group, weights in one.groups.items()
            for block, weight in enumerate(weights, 1)
        ]
    )


def draw(found: Sequence[Aggregation], title: str, banner: str) -> "Figure":
    """A panel a search, labelled with its name; all share the colour scale from 0 to 1."""
    from matplotlib.style import context

    widest = max(len(weights) for one in found for weights in one.groups.values())
    tallest = max(len(one.groups) for one in found)
    width = len(found) * (CELL * widest + MARGIN) + MARGIN
    with context(["default", STYLE]):
        figure = sheet(width, ROW * tallest + MARGIN, title, banner)
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        for one, axes in zip(found, panels, strict=True):
            mesh = matrix(axes, list(one.groups.values()))
            blocks = max(len(weights) for weights in one.groups.values())
            axes.set_xticks(range(blocks), [str(b) for b in range(1, blocks + 1)])
            axes.set_yticks(range(len(one.groups)), [str(group) for group in one.groups])
            axes.set_title(one.name, fontsize="medium")
            axes.set_label(one.name)
            axes.set_xlabel("block")
        panels[0].set_ylabel("group")
        figure.colorbar(mesh, ax=list(panels), label="weight", fraction=0.05)
    return figure
