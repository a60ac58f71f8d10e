"""Draws accuracy against the epochs of a student's training, one line per method."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

from kdbench.errors import BadValue
from kdbench.exhibits import tables as exhibits
from kdbench.exhibits.keys import BudgetKey, RunKey
from kdbench.exhibits.tables import TOP1
from kdbench.papers import published_numbers
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, sheet
from kdbench.report.presentation import PAPER, Presentation, TextTable, number
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.cells import reported
from kdbench.report.readings.records import CellState, FinishedRuns
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PublishedKey: TypeAlias = tuple[str, str, str, str]
WIDTH, HEIGHT = 5.5, 3.4  # inches


@dataclass(frozen=True)
class Point:
    """One method at one budget.

    Attributes:
        epochs: that the students were trained for at this scale.
        accuracy: top-1 in percent, over seeds.
    """

    method: str
    epochs: int
    accuracy: Estimate


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Accuracy of every method at every budget."""
    points = read_points(runs)
    return Presentation(
        numbers=frame(points),
        table=beside_published(figure, points, runs) if figure.options else table(points),
        draw=partial(draw, points, figure.title, notice_of(graph)),
        notes=figure.notes,
    )


def read_points(runs: FinishedRuns) -> list[Point]:
    """Finished runs by rising epochs; budgets that a scale makes equal once.

    Raises:
        BadValue: a run's key is no `BudgetKey`, or it is no evaluation of students.
        DamagedData: a record lacks something.
    """
    points: dict[tuple[str, int], Point] = {}
    for key, (spec, record) in runs.items():
        epochs = _students(key, spec).recipe.epochs
        method = cast("BudgetKey", key).method
        points[method, epochs] = Point(method, epochs, estimate(reported(record, TOP1)))
    return sorted(points.values(), key=lambda point: point.epochs)


def table(points: Sequence[Point]) -> TextTable:
    """One line per method, one column per budget."""
    budgets = sorted({point.epochs for point in points})
    by_place = {(point.method, point.epochs): point.accuracy for point in points}
    lines = [
        [method, *(number(by_place.get((method, n)), CellState.NOT_RUN) for n in budgets)]
        for method in _methods(points)
    ]
    return TextTable(["top-1 (%)", *(f"{n} epochs" for n in budgets)], lines)


def beside_published(
    figure: exhibits.Figure, points: Sequence[Point], runs: FinishedRuns
) -> TextTable:
    """One line per run of the option `printed`, with the paper's number and how it is known.

    The paper's budgets are its own; at a short scale the same share of the epochs stands beside.
    """
    numbers = published_numbers(str(figure.option("published")))
    by_place = {(point.method, point.epochs): point.accuracy for point in points}
    lines, declared = (
        [],
        cast("tuple[tuple[BudgetKey, PublishedKey], ...]", figure.option("printed")),
    )
    for key, cell in declared:
        run = runs.get(key)
        epochs = _students(key, run[0]).recipe.epochs if run else None
        accuracy = by_place.get((key.method, epochs)) if epochs else None
        printed = numbers.get(cell)
        lines.append(
            [
                key.method,
                str(key.epochs),
                "" if epochs is None else str(epochs),
                number(accuracy, CellState.NOT_RUN),
                "not known" if printed is None else f"{printed.value:.2f}",
                "" if printed is None or printed.source == PAPER else printed.source,
            ]
        )
    heads = ["method", "epochs in print", "epochs here", "top-1 (%)", "published", "source"]
    return TextTable(heads, lines)


def _students(key: RunKey, spec: RunSpec) -> StudentRun:
    """The students that an evaluation measures.

    Raises:
        BadValue: the run's key is no `BudgetKey`, or it is no evaluation of students.
    """
    student = spec.first if isinstance(spec, EvaluationRun) else None
    if not isinstance(student, StudentRun) or not isinstance(key, BudgetKey):
        raise BadValue("requests of budgets", str(key), "students of a method at a budget")
    return student


def frame(points: Sequence[Point]) -> "pd.DataFrame":
    """One line per method and budget."""
    import pandas as pd

    columns = ["method", "epochs", "top1", "std", "n"]
    lines = [(p.method, p.epochs, p.accuracy.mean, p.accuracy.std, p.accuracy.n) for p in points]
    return pd.DataFrame(lines, columns=columns)


def draw(points: Sequence[Point], title: str, banner: str) -> "Figure":
    """One panel; bars are sample standard deviations over the seeds."""
    from matplotlib.style import context

    with context(["default", STYLE]):
        figure = sheet(WIDTH, HEIGHT, title, banner)
        axes = figure.subplots()
        for colour, method in zip(COLOURS, _methods(points), strict=False):
            own = [point for point in points if point.method == method]
            axes.errorbar(
                [point.epochs for point in own],
                [point.accuracy.mean for point in own],
                [point.accuracy.std or 0.0 for point in own],
                fmt="o-",
                color=colour,
                capsize=3,
                label=method,
            )
        budgets = sorted({point.epochs for point in points})
        axes.set_xscale("log")
        axes.set_xticks(budgets, [str(n) for n in budgets])
        axes.minorticks_off()
        axes.set_xlabel("epochs of the student's training")
        axes.set_ylabel("top-1 accuracy (%)")
        if points:
            axes.legend()
    return figure


def _methods(points: Sequence[Point]) -> list[str]:
    return sorted({point.method for point in points})
