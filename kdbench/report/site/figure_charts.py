"""A figure's numbers as an interactive chart; how each renderer's numbers go on two axes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.report.site.charts import Spec, chart, params, quantity, series

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Points:
    """Values against a number, as lines or points.

    Attributes:
        x: column; "" for the first one.
        y: column; "" where every other column of numbers is a series.
        by: columns that tell the series apart.
        mark: Vega-Lite's name of what is drawn.
    """

    x: str
    y: str = ""
    by: tuple[str, ...] = ()
    mark: str = "line"


@dataclass(frozen=True)
class Grid:
    """Coloured cells; one panel per values of the columns `panel`. Axes keep the numbers' order."""

    x: str
    y: str
    value: str
    panel: tuple[str, ...] = ()


FORMS: Mapping[str, Points | Grid] = {
    "budget_figure": Points("epochs", "top1", ("method",)),
    "correlation_figure": Points("", "test_error", mark="point"),
    "gradient_figure": Points("epoch", by=("search",)),
    "penalty_figure": Points("", "test_error", mark="point"),
    "process_figure": Points("epoch"),
    "size_figure": Points(
        "parameters_millions", "test_error", ("dataset", "network", "how"), "point"
    ),
    "drop_figure": Grid("source", "reader", "drop_rate", ("dataset", "block")),
    "heat_map": Grid("block", "group", "weight", ("search",)),
    "similarity_figure": Grid("search", "other", "correlation"),
}


def figure_chart(renderer: str, numbers: "pd.DataFrame") -> Spec | None:
    """The chart of a figure; None for a renderer without a form, or without numbers."""
    form = FORMS.get(renderer)
    if form is None or numbers.empty:
        return None
    return _points(form, numbers) if isinstance(form, Points) else _grid(form, numbers)


def _points(form: Points, numbers: "pd.DataFrame") -> Spec | None:
    x = form.x or str(numbers.columns[0])
    names = [form.y] if form.y else _numbers_besides(numbers, {x, "step", "group", *form.by})
    rows = [
        {"x": float(line[x]), "value": float(line[name]), "series": _series(form, line, name)}
        for line in numbers.to_dict("records")
        for name in names
        if _known(line[x]) and _known(line[name])
    ]
    if not rows:
        return None
    mark: dict[str, Any] = {"type": form.mark, "tooltip": True}
    mark |= {"point": len(rows) < 300} if form.mark == "line" else {"filled": True, "size": 70}
    return chart(
        rows,
        340,
        params=params("series"),
        mark=mark,
        encoding={
            "x": quantity("x", x.replace("_", " ")),
            "y": quantity("value", (form.y or "value").replace("_", " ")),
            **series("series", ""),
            "tooltip": [{"field": name} for name in ("series", "x", "value")],
        },
    )


def _series(form: Points, line: Mapping[Any, Any], name: str) -> str:
    parts = [str(line[column]) for column in form.by]
    return ", ".join(parts if form.y and parts else [*parts, name])


def _numbers_besides(numbers: "pd.DataFrame", others: set[str]) -> list[str]:
    return [c for c in numbers.columns if c not in others and numbers[c].dtype.kind in "if"]


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and value == value


def _grid(form: Grid, numbers: "pd.DataFrame") -> Spec | None:
    columns = [form.x, form.y, form.value]
    rows: list[dict[str, Any]] = [
        {"panel": _panel(form, line), **{column: _plain(line[column]) for column in columns}}
        for line in numbers.to_dict("records")
        if _known(line[form.value])
    ]
    if not rows:
        return None
    encoding: dict[str, Any] = {
        "x": {"field": form.x, "type": "ordinal", "sort": None},
        "y": {"field": form.y, "type": "ordinal", "sort": None},
        "color": {**quantity(form.value, form.value), "scale": {"scheme": "cividis"}},
        "tooltip": [{"field": column} for column in (*columns, *(["panel"] if form.panel else []))],
    }
    if not form.panel:
        return chart(rows, 340, mark="rect", encoding=encoding)
    panels = {row["panel"] for row in rows}
    facet = {"field": "panel", "type": "nominal", "title": None, "sort": None}
    encoding["facet"] = {**facet, "columns": min(3, len(panels))}
    spec = dict(chart(rows, 200, mark="rect", encoding=encoding))
    return {**spec, "width": 220, "autosize": "pad"}


def _panel(form: Grid, line: Mapping[Any, Any]) -> str:
    """The heading of a panel: texts as they are, numbers with their column's name."""
    values = ((column, line[column]) for column in form.panel)
    return ", ".join(f"{name} {v}" if _known(v) else str(v) for name, v in values)


def _plain(value: Any) -> Any:
    """A number of a frame as Python's own; everything else as text."""
    return float(value) if isinstance(value, float) else value if _known(value) else str(value)
