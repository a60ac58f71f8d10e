"""Vega-Lite charts of a report, as JSON: hover, zoom, and a legend that toggles its series."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.exhibits.tasks import SCORES, score_curve
from kdbench.report.site.boards import MethodRow
from kdbench.report.site.details import Detail

Spec = Mapping[str, Any]
Series = tuple[str, str, Sequence[Sequence[float]]]
"""Whose curve it is, its name, and its points (epoch, value)."""
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
FEW = 15  # methods whose names fit beside their points, or points of a curve that are seen apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888")


def chart(rows: Sequence[Mapping[str, Any]], height: int, **more: Any) -> Spec:
    """What all charts share; `more` holds marks and encodings."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(rows)},
        **more,
    }


def series(field: str, title: str) -> dict[str, Any]:
    """Colour and opacity of series that a click in the legend toggles."""
    return {
        "color": {
            "field": field,
            "type": "nominal",
            "title": title,
            "scale": {"range": list(COLOURS)},
            "legend": {"orient": "bottom", "columns": 3, "labelLimit": 260},
        },
        "opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.1},
    }


def params(field: str) -> list[dict[str, Any]]:
    """Zoom by wheel and drag, and a legend to click."""
    return [
        {"name": "zoom", "select": "interval", "bind": "scales"},
        {"name": "chosen", "select": {"type": "point", "fields": [field]}, "bind": "legend"},
    ]


def quantity(field: str, title: str, *, zero: bool = False) -> dict[str, Any]:
    """A number on an axis, which begins at 0 only where `zero`."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": zero}}


def curves(detail: Detail) -> Spec | None:
    """Every run's accuracy and losses over the epochs; None without any curve."""
    return curve_chart(
        [
            (f"seed {run['seed']}", name, points)
            for run in detail.curves
            for name, points in run["series"].items()
        ]
    )


def curve_chart(series_of: Sequence[Series]) -> Spec | None:
    """Curves of which a list shows one at a time, the accuracy first; None without any point.

    The points lie in Vega-Lite's place for data of a page's own, from which site.js makes its rows:
    a row's keys would be most of a page.
    """
    lists = [one for one in series_of if one[2]]
    if not lists:
        return None
    names = list(dict.fromkeys(name for _, name, _ in lists))
    scores = map(score_curve, SCORES)
    first = next((score for score in scores if score in names), names[0])
    choice = {"input": "select", "options": names, "name": "curve "}
    return chart(
        [],
        220,
        usermeta={"curves": lists},
        params=[{"name": "shown", "value": first, "bind": choice}, *params("seed")],
        transform=[{"filter": "datum.curve == shown"}],
        mark={"type": "line", "point": max(len(one[2]) for one in lists) <= FEW, "tooltip": True},
        encoding={
            "x": quantity("epoch", "epoch"),
            "y": quantity("value", "value"),
            **series("seed", "run"),
            "tooltip": [{"field": name} for name in ("seed", "curve", "epoch", "value")],
        },
    )


def accuracy_against_cost(rows: Sequence[MethodRow]) -> Spec | None:
    """Mean gain of every method against the hours that it needs; None where no hours are known."""
    values = [
        {
            "method": row.method,
            "hours": row.hours,
            "gain": row.gain,
            "low": row.gain - (row.half or 0.0),
            "high": row.gain + (row.half or 0.0),
            "pairs": row.boards,
            "label": row.method if row.boards > 1 or len(rows) <= FEW else "",
        }
        for row in rows
        if row.hours
    ]
    if not values:
        return None
    hours = {
        "field": "hours",
        "type": "quantitative",
        "title": "hours per student, log scale",
        "axis": {"format": ".2~r"},
        "scale": {"type": "log", "nice": False, "padding": 40},
    }
    tooltip = [{"field": f, "format": ".2f"} for f in ("gain", "low", "high", "hours")]
    shared = {"x": hours, "tooltip": [{"field": "method"}, *tooltip, {"field": "pairs"}]}
    gain = quantity("gain", "mean gain over the student alone, points", zero=True)
    whisker = {"y": {**gain, "field": "low"}, "y2": {"field": "high"}}
    colour = {"value": COLOURS[0]}
    return chart(
        values,
        380,
        layer=[
            {"mark": "rule", "encoding": {**shared, **whisker, "color": colour}},
            {
                "mark": {"type": "point", "filled": True, "size": 80},
                "encoding": {**shared, "y": gain, "color": colour},
                "params": [{"name": "zoom", "select": "interval", "bind": "scales"}],
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "dy": -6},
                "encoding": {**shared, "y": gain, "text": {"field": "label"}},
            },
        ],
    )
