"""Draws a penalty's strength against the epochs of its search and the test error of its student."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, sheet
from kdbench.report.presentation import Presentation, TextTable, number
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.records import CellState, FinishedRuns
from kdbench.report.readings.sweep import Budget, Try, read_sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

X = "lambda_2"
NEEDED, ERROR = "epochs", "error"  # labels of the panels
WIDTH, HEIGHT = 8.0, 3.2  # inches


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Penalty against epochs and error."""
    tries = read_sweep(runs, X)
    return Presentation(
        numbers=frame(tries),
        table=table(tries),
        draw=partial(draw, tries, figure.title, notice_of(graph)),
    )


def needed(budget: Budget | None) -> str:
    """Epochs until the budget was met, in words."""
    if budget is None:
        return CellState.NOT_RUN.value
    if not budget.met:
        return f"not met within {budget.epochs:g}"
    return f"{budget.epochs:.2f}"


def part(budget: Budget | None) -> str:
    """Share of the planned steps after which the budget was met, in percent."""
    return "" if budget is None or budget.part is None else f"{100 * budget.part:.0f}"


def table(tries: Sequence[Try]) -> TextTable:
    """One line per penalty."""
    lines = [
        [
            f"{one.x:g}",
            needed(one.search),
            part(one.search),
            f"{one.search.flops:.1f}" if one.search else "",
            number(one.error, CellState.NOT_RUN),
        ]
        for one in tries
    ]
    return TextTable(
        ["λ₂", "epochs needed", "of all (%)", "FLOPs left (M)", "test error (%)"], lines
    )


def frame(tries: Sequence[Try]) -> "pd.DataFrame":
    """One line per penalty."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                X: one.x,
                "budget_met": one.search.met if one.search else None,
                "epochs": one.search.epochs if one.search else None,
                "share_of_steps": one.search.part if one.search else None,
                "flops_left_millions": one.search.flops if one.search else None,
                "test_error": one.error.mean if one.error else None,
                "std": one.error.std if one.error else None,
                "n": one.error.n if one.error else None,
            }
            for one in tries
        ]
    ).astype({"n": "Int64"})


def draw(tries: Sequence[Try], title: str, banner: str) -> "Figure":
    """Panels labelled `epochs` and `error`; a hollow point is a budget that was not met."""
    from matplotlib.style import context

    with context(["default", STYLE]):
        figure = sheet(WIDTH, HEIGHT, title, banner)
        left, right = figure.subplots(1, 2)
        _epochs(left, tries)
        for one in tries:
            if one.error:
                spread = one.error.std or 0.0
                right.errorbar(one.x, one.error.mean, spread, fmt="o", color=COLOURS[0], capsize=3)
        for axes, label, name in (
            (left, NEEDED, "epochs needed"),
            (right, ERROR, "test error (%)"),
        ):
            axes.set_label(label)
            axes.set_ylabel(name)
            axes.set_xlabel("λ₂, price of an open gate")
            if all(one.x > 0 for one in tries):
                axes.set_xscale("log")
                axes.set_xticks([one.x for one in tries], [f"{one.x:g}" for one in tries])
                axes.minorticks_off()
    return figure


def _epochs(axes: "Axes", tries: Sequence[Try]) -> None:
    axes.margins(x=0.25)  # for the words under the outermost points
    for one in tries:
        if one.search:
            filled = COLOURS[1] if one.search.met else "none"
            place = (one.x, one.search.epochs)
            axes.plot(*place, "o", color=COLOURS[1], markerfacecolor=filled)
            if not one.search.met:
                axes.annotate(
                    needed(one.search),
                    place,
                    (0.0, -12.0),
                    textcoords="offset points",
                    ha="center",
                    fontsize="small",
                )
