"""Draws searched aggregation weights: one panel per search, row per group, column per block."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import stdev
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import STYLE, matrix, sheet
from kdbench.report.presentation import Presentation, TextTable
from kdbench.report.readings.aggregation import Aggregation, read_aggregation
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.records import FinishedRuns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CELL, ROW, MARGIN = 0.45, 0.5, 1.0  # inches


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """The weights at the end of every search."""
    searches = [read_aggregation(key, spec, record) for key, (spec, record) in runs.items()]
    return Presentation(
        numbers=frame(searches),
        table=table(searches),
        draw=partial(draw, searches, figure.title, notice_of(graph)),
        notes=tuple(spread_notes(searches)),
    )


def excess(weights: Sequence[float]) -> float:
    """How far from uniform a group is: its largest weight minus 1/n.

    >>> excess([0.25, 0.75])
    0.25
    """
    return max(weights) - 1 / len(weights)


def spreads(searches: Sequence[Aggregation]) -> dict[int, float] | None:
    """Largest sample standard deviation of a block's weight over searches, by group.

    None for fewer than two searches, and where they have other groups or blocks.
    """
    shapes = {tuple((g, len(w)) for g, w in one.groups.items()) for one in searches}
    if len(searches) < 2 or len(shapes) > 1:
        return None
    return {
        group: max(
            stdev(block) for block in zip(*(one.groups[group] for one in searches), strict=True)
        )
        for group in searches[0].groups
    }


def table(searches: Sequence[Aggregation]) -> TextTable:
    """One line per search and group."""
    lines = [
        [one.name, str(group), " ".join(f"{w:.3f}" for w in weights), f"{excess(weights):.3f}"]
        for one in searches
        for group, weights in one.groups.items()
    ]
    return TextTable(["search", "group", "weights, shallow to deep", "largest minus 1/n"], lines)


def spread_notes(searches: Sequence[Aggregation]) -> Iterator[str]:
    """The spread between the searches of one method and teacher, one sentence for each such set."""
    kinds: dict[str, list[Aggregation]] = defaultdict(list)
    for one in searches:
        kinds[one.kind].append(one)
    for alike in kinds.values():
        by_group = spreads(alike)
        if by_group is not None:
            names = "; ".join(one.name for one in alike)
            values = ", ".join(f"group {group}: {value:.3f}" for group, value in by_group.items())
            yield (
                f"Largest standard deviation of a block's weight between the {len(alike)} searches "
                f"of one method and teacher ({names}): {values}."
            )


def frame(searches: Sequence[Aggregation]) -> "pd.DataFrame":
    """One line per block."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"search": one.name, "group": group, "block": block, "weight": weight}
            for one in searches
            for group, weights in one.groups.items()
            for block, weight in enumerate(weights, 1)
        ]
    )


def draw(searches: Sequence[Aggregation], title: str, banner: str) -> "Figure":
    """One panel per search, labelled with its name; all share the colour scale from 0 to 1."""
    from matplotlib.style import context

    widest = max(len(weights) for one in searches for weights in one.groups.values())
    tallest = max(len(one.groups) for one in searches)
    width = len(searches) * (CELL * widest + MARGIN) + MARGIN
    with context(["default", STYLE]):
        figure = sheet(width, ROW * tallest + MARGIN, title, banner)
        panels = figure.subplots(1, len(searches), squeeze=False)[0]
        for one, axes in zip(searches, panels, strict=True):
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
