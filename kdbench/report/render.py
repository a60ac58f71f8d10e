"""From an exhibit to its files: one renderer a kind of exhibit."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdbench.exhibits.tables import Exhibit, Figure, Table
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import csv_bytes
from kdbench.report.readings.banner import banner, quoted
from kdbench.report.readings.provenance import footer
from kdbench.report.readings.records import CellState, Records

TABLES, FIGURES = "tables", "figures"
FOLDERS = (TABLES, FIGURES)
SUFFIXES = (".md", ".csv", ".svg", ".png")


@dataclass(frozen=True)
class Rendered:
    """What one exhibit puts into a report.

    Attributes:
        files: contents by path inside the report's folder.
        body: Markdown under the exhibit's heading in the index; links are relative to it.
    """

    files: Mapping[str, bytes]
    body: str


def render(exhibit: Exhibit, graph: Graph, records: Records) -> Rendered:
    """The files and the index section of one exhibit."""
    return RENDERERS[type(exhibit)](exhibit, graph, records)


def render_table(table: Table, graph: Graph, records: Records) -> Rendered:
    """A table as Markdown and CSV."""
    from kdbench.report.markdown import table_markdown
    from kdbench.report.readings.cells import frame, results

    cells = results(graph, table, records)
    body = table_markdown(graph, table, cells, records)
    page, data = (f"{TABLES}/{table.slug}{suffix}" for suffix in (".md", ".csv"))
    text = f"{quoted(banner(graph))}# {table.title}\n\n{body}"
    files = {page: text.encode(), data: csv_bytes(frame(graph, table, cells))}
    return Rendered(files, f"{body}\n[This table alone]({page}) · [CSV, one line a cell]({data})\n")


def render_figure(figure: Figure, graph: Graph, records: Records) -> Rendered:
    """A figure as its own renderer draws it, from the runs that are finished.

    The renderer gets the finished runs by the figure's names for them. One that says
    `LOOKS_UPSTREAM = True` gets all `records` too, because it reads what these runs depend on.
    """
    specs = graph.drawn[figure.id]
    if not any(specs.values()):
        return Rendered({}, f"*{CellState.LEFT_OUT.value} by params.yaml*\n".capitalize())
    found = {name: (spec, records.get(spec)) for name, spec in specs.items() if spec}
    done = {name: (spec, record) for name, (spec, record) in found.items() if record}
    if not done:
        return Rendered({}, f"*{CellState.NOT_RUN.value}*\n")
    renderer = importlib.import_module(f"kdbench.report.figures.{figure.renderer}")
    more = {"records": records} if getattr(renderer, "LOOKS_UPSTREAM", False) else {}
    drawn = renderer.render(figure, graph, done, **more)
    paths = {name: _place(figure, name) for name in drawn.files}
    links = [f"[{LINKS[name]}]({paths[name]})" for name in LINKS if name in paths]
    image = f"![{figure.title}]({paths['svg']})" if "svg" in paths else ""
    missing = f"*{len(found) - len(done)} of {len(found)} runs are not run yet.*"
    parts = [
        image,
        figure.caption,
        drawn.body,
        missing if len(done) < len(found) else "",
        "\n".join(f"- {note}" for note in figure.notes),
        footer(records.behind([spec for spec, _ in done.values()]), "figure"),
        " · ".join(links) + "\n",
    ]
    files = {paths[name]: content for name, content in drawn.files.items()}
    return Rendered(files, "\n\n".join(part for part in parts if part))


def _place(figure: Figure, kind: str) -> str:
    return f"{FIGURES}/{figure.slug}.{kind}"


LINKS = {"svg": "SVG", "png": "PNG", "csv": "CSV of the drawn numbers"}

# The one place that knows the kinds of exhibits.
RENDERERS: Mapping[type[Exhibit], Callable[[Any, Graph, Records], Rendered]] = {
    Table: render_table,
    Figure: render_figure,
}
