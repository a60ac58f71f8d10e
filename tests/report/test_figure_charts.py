"""Figures' numbers as charts for a browser."""

import pandas as pd

from kdbench.report.site.figure_charts import figure_chart


def test_connections_of_every_search_and_block_have_a_panel_of_their_own():
    """No two searches lie over each other, and layers keep their order: 2 before 10."""
    rows = [
        {"dataset": d, "block": b, "reader": r, "source": "input", "drop_rate": 0.5}
        for d in ("CIFAR-10", "CIFAR-100")
        for b in (1, 2)
        for r in ("1", "2", "10")
    ]
    spec = figure_chart("drop_figure", pd.DataFrame(rows))

    cells = [(row["panel"], row["reader"], row["source"]) for row in spec["data"]["values"]]
    assert len(set(cells)) == len(rows)
    assert {panel for panel, _, _ in cells} == {
        f"{d}, block {b}" for d in ("CIFAR-10", "CIFAR-100") for b in (1, 2)
    }
    assert spec["encoding"]["y"]["sort"] is None and spec["encoding"]["facet"]["columns"] == 3


def test_a_grid_without_panels_is_one_chart():
    """The similarity of searches."""
    rows = pd.DataFrame([{"search": "a", "other": "b", "correlation": 0.3}])
    assert "facet" not in figure_chart("similarity_figure", rows)["encoding"]
