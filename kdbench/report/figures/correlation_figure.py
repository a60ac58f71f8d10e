"""Draws a search's parameter against its student's test error, with their correlation."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from kdbench.errors import BadValue
from kdbench.exhibits import tables as exhibits
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, sheet
from kdbench.report.presentation import Presentation, TextTable, number
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.records import CellState, FinishedRuns
from kdbench.report.readings.statistics import FEWEST, Correlation, correlation
from kdbench.report.readings.sweep import Try, read_sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.5, 3.4  # inches
UNMET = "Where the budget is not met the student is larger, and its error no fair point."


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Parameter against error, and their correlation beside the printed one.

    Raises:
        BadValue: the figure's options do not say what is on the x axis.
    """
    x, printed = figure.option("x"), figure.option("published")
    if not isinstance(x, str):
        raise BadValue(f"{figure.id}, options", x, "x, the name of a parameter of the search")
    tries = read_sweep(runs, x)
    unmet = any(one.search and not one.search.met for one in tries)
    return Presentation(
        numbers=frame(tries, x),
        table=table(tries, x),
        draw=partial(draw, tries, x, figure.title, notice_of(graph)),
        lead=in_words(tries, printed),
        notes=(UNMET,) if unmet else (),
    )


def correlated(tries: Sequence[Try]) -> Correlation | None:
    """Correlation of parameter and mean error, over the tries whose student is finished."""
    pairs = [(one.x, one.error.mean) for one in tries if one.error]
    return correlation([x for x, _ in pairs], [y for _, y in pairs])


def in_words(tries: Sequence[Try], printed: object) -> str:
    """The correlation in a sentence, with the published one unless that is None."""
    ours, points = correlated(tries), sum(one.error is not None for one in tries)
    beside = "" if printed is None else f"; published: {printed}"
    if ours is not None:
        return f"Pearson's correlation: {ours.r:.4f} (p = {ours.p:.2g}, n = {ours.n}){beside}."
    why = f"{points} of at least {FEWEST} points" if points < FEWEST else "a constant value"
    return f"Pearson's correlation: not defined ({why}){beside}."


def table(tries: Sequence[Try], x: str) -> TextTable:
    """One line per value of the parameter."""
    lines = [
        [
            f"{one.x:g}",
            "" if one.search is None else f"{one.search.kl0:.3f}",
            number(one.error, CellState.NOT_RUN),
            "" if one.search is None else f"{one.search.largest_kl:.3f}",
            "" if one.search is None else f"{one.search.flops:.1f}",
            "" if one.search is None else ("yes" if one.search.met else "no"),
        ]
        for one in tries
    ]
    heads = [x, "kl0", "test error (%)", "largest KL met", "FLOPs left (M)", "budget met"]
    return TextTable(heads, lines)


def frame(tries: Sequence[Try], x: str) -> "pd.DataFrame":
    """One line per value of the parameter."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                x: one.x,
                "kl0": one.search.kl0 if one.search else None,
                "test_error": one.error.mean if one.error else None,
                "std": one.error.std if one.error else None,
                "n": one.error.n if one.error else None,
                "largest_kl": one.search.largest_kl if one.search else None,
                "flops_left_millions": one.search.flops if one.search else None,
                "budget_met": one.search.met if one.search else None,
            }
            for one in tries
        ]
    ).astype({"n": "Int64"})


def draw(tries: Sequence[Try], x: str, title: str, banner: str) -> "Figure":
    """One panel; bars are sample standard deviations over seeds."""
    from matplotlib.style import context

    with context(["default", STYLE]):
        figure = sheet(WIDTH, HEIGHT, title, banner)
        axes = figure.subplots()
        for one in tries:
            if one.error:
                spread = one.error.std or 0.0
                axes.errorbar(one.x, one.error.mean, spread, fmt="o", color=COLOURS[0], capsize=3)
        axes.set_xlabel(x)
        axes.set_ylabel("test error of the student (%)")
        axes.set_title(in_words(tries, None), fontsize="medium")
    return figure
