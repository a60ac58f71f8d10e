"""Draws test error against size: two panels per data set, circles and crosses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kdbench.errors import BadValue
from kdbench.exhibits import tables as exhibits
from kdbench.exhibits.keys import NetworkRole, RunKey, SizeKey
from kdbench.exhibits.tables import TEST_ERROR
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import COLOURS, STYLE, sheet
from kdbench.report.presentation import Presentation, TextTable, number
from kdbench.report.readings.banner import banner as notice_of
from kdbench.report.readings.cells import reported
from kdbench.report.readings.records import CellState, FinishedRuns, Record
from kdbench.report.readings.statistics import Estimate, estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ROLES = {NetworkRole.SEARCHED: "found by the search", NetworkRole.TEACHER: "teacher"}
SIZES = {"parameters": "parameters (M)", "flops": "FLOPs, elements counted (M)"}
PANEL, HEIGHT, LEGEND = 3.4, 3.0, 2.2  # inches


@dataclass(frozen=True)
class Point:
    """One network, trained in one way on one data set.

    Attributes:
        key: data set and training.
        student: as the figure prints it.
        parameters: in millions.
        flops: in millions, with elements of norms and ReLUs; None in records made before these
            were counted.
        error: test error in percent, over seeds.
    """

    key: SizeKey
    student: str
    parameters: float
    flops: float | None
    error: Estimate

    def size(self, key: str) -> float | None:
        """On the x axis `key`, "parameters" or "flops"."""
        return self.parameters if key == "parameters" else self.flops


def render(figure: exhibits.Figure, graph: Graph, runs: FinishedRuns) -> Presentation:
    """Error against size, of every network."""
    points = [read_point(graph, key, record) for key, (_, record) in runs.items()]
    return Presentation(
        numbers=frame(points),
        table=table(points),
        draw=partial(draw, points, figure.title, notice_of(graph)),
        notes=tuple(not_in_flops(points)),
    )


def read_point(graph: Graph, key: RunKey, record: Record) -> Point:
    """What an evaluation says of a network, trained in one way.

    Raises:
        BadValue: the key is not a `SizeKey`.
        UnknownName: its network is none.
        DamagedData: the record lacks sizes or accuracies.
    """
    if not isinstance(key, SizeKey):
        raise BadValue("size_figure, requests", str(key), "keys that are a SizeKey")
    if isinstance(key.network, NetworkRole):
        label = ROLES[key.network]
    else:
        network = graph.components.get("network", key.network, where="size_figure, requests")
        label = network.label
    flops = None
    if "flops_with_elements" in record.at("metrics"):
        flops = record.number("metrics", "flops_with_elements") / 1e6
    parameters = record.number("metrics", "parameters") / 1e6
    error = estimate(reported(record, TEST_ERROR))
    return Point(key, label, parameters, flops, error)


def below(scratch: Point | None, distilled: Point | None) -> str:
    """Whether a distilled network's mean error is below its twin's: "yes", "no" or ""."""
    if scratch is None or distilled is None:
        return ""
    return "yes" if distilled.error.mean < scratch.error.mean else "no"


def table(points: Sequence[Point]) -> TextTable:
    """One line per network and data set."""
    lines = []
    for dataset, student in dict.fromkeys((p.key.dataset, p.student) for p in points):
        twins = {
            p.key.distilled: p for p in points if (p.key.dataset, p.student) == (dataset, student)
        }
        scratch, distilled = twins.get(False), twins.get(True)
        one = next(p for p in (scratch, distilled) if p)
        flops = next((p.flops for p in twins.values() if p.flops is not None), None)
        lines.append(
            [
                dataset,
                student,
                f"{one.parameters:.2f}",
                "not known" if flops is None else f"{flops:.1f}",
                *(
                    "" if p is None else number(p.error, CellState.DONE)
                    for p in (scratch, distilled)
                ),
                below(scratch, distilled),
            ]
        )
    heads = ["data set", "network", "parameters (M)", "FLOPs with elements (M)"]
    heads += ["error from scratch (%)", "error distilled (%)", "distilled below scratch"]
    return TextTable(heads, lines)


def not_in_flops(points: Sequence[Point]) -> Iterator[str]:
    """A sentence on the points that are not in the panels of FLOPs, if there are any."""
    unknown = sum(p.flops is None for p in points)
    if unknown:
        yield (
            f"{unknown} of {len(points)} points are missing from the FLOPs' panels: their "
            "records were made before elements were counted."
        )


def frame(points: Sequence[Point]) -> "pd.DataFrame":
    """One line per point."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "dataset": p.key.dataset,
                "network": p.student,
                "how": p.key.training,
                "parameters_millions": p.parameters,
                "flops_with_elements_millions": p.flops,
                "test_error": p.error.mean,
                "std": p.error.std,
                "n": p.error.n,
            }
            for p in points
        ]
    )


def draw(points: Sequence[Point], title: str, banner: str) -> "Figure":
    """Panels labelled `<data set>, parameters` and `<data set>, flops`."""
    from matplotlib.style import context

    datasets = list(dict.fromkeys(p.key.dataset for p in points))
    students = list(dict.fromkeys(p.student for p in points))
    with context(["default", STYLE]):
        figure = sheet(2 * PANEL + LEGEND, HEIGHT * len(datasets), title, banner)
        rows = figure.subplots(len(datasets), 2, squeeze=False)
        for dataset, panels in zip(datasets, rows, strict=True):
            for key, axes in zip(SIZES, panels, strict=True):
                _panel(axes, [p for p in points if p.key.dataset == dataset], key, students)
                axes.set_title(dataset, fontsize="medium")
                axes.set_label(f"{dataset}, {key}")
            panels[0].set_ylabel("test error (%)")
        figure.legend(handles=_legend(students), loc="outside right center")
    return figure


def _panel(axes: "Axes", points: Sequence[Point], key: str, students: Sequence[str]) -> None:
    for point in points:
        size = point.size(key)
        if size is not None:
            (line,) = axes.plot(
                [size], [point.error.mean], label=f"{point.student}, {point.key.training}"
            )
            line.set(**_look(students.index(point.student), point.key.distilled))
    axes.set_xlabel(SIZES[key])


def _look(place: int, distilled: bool) -> dict[str, object]:
    """One colour per student; when colours run out, circles are hollow and crosses upright."""
    colour, again = COLOURS[place % len(COLOURS)], place >= len(COLOURS)
    marker = ("P" if again else "X") if distilled else "o"
    filled = "none" if again and not distilled else colour
    look = {"color": colour, "markerfacecolor": filled, "marker": marker, "linestyle": "none"}
    return {**look, "markersize": 7, "alpha": 0.9}


def _legend(students: Sequence[str]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    def handle(look: dict[str, object], label: str) -> Line2D:
        line = Line2D([], [], label=label)
        line.set(**look)
        return line

    grey = {"color": "0.4", "markerfacecolor": "0.4"}
    return [
        *(handle(_look(i, False), student) for i, student in enumerate(students)),
        handle({**_look(0, False), **grey}, "circle: from scratch"),
        handle({**_look(0, True), **grey}, "cross: distilled"),
    ]
