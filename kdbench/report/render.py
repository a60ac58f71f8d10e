"""From an exhibit to its files: one renderer a kind of exhibit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.plan.exhibits import Exhibit, ProcessFigure, Table
from kdbench.plan.graph import Graph
from kdbench.report.banner import banner, quoted
from kdbench.report.read import Records, State

if TYPE_CHECKING:
    import pandas as pd

    from kdbench.report.process import Process

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
    from kdbench.report.tables import frame, results

    cells = results(graph, table, records)
    body = table_markdown(graph, table, cells, records)
    page, data = (f"{TABLES}/{table.slug}{suffix}" for suffix in (".md", ".csv"))
    text = f"{quoted(banner(graph))}# {table.title}\n\n{body}"
    files = {page: text.encode(), data: csv_bytes(frame(graph, table, cells))}
    return Rendered(files, f"{body}\n[This table alone]({page}) · [CSV, one line a cell]({data})\n")


def render_process(figure: ProcessFigure, graph: Graph, records: Records) -> Rendered:
    """A searched process as SVG, PNG and CSV, with its sums as a small table."""
    from kdbench.report.process import read_process
    from kdbench.report.provenance import footer

    spec = graph.searches.get(figure.id)
    if spec is None:
        return Rendered({}, f"*{State.LEFT_OUT.value} by params.yaml*\n".capitalize())
    record = records.get(spec)
    if record is None:
        return Rendered({}, f"*{State.NOT_RUN.value}*\n")
    process = read_process(spec, record)
    vector, bitmap, data = (f"{FIGURES}/{figure.slug}{s}" for s in (".svg", ".png", ".csv"))
    images = _images(process, figure.title, banner(graph))
    files = {vector: images[0], bitmap: images[1], data: csv_bytes(process.frame())}
    parts = [
        f"![{figure.title}]({vector})",
        figure.caption,
        _totals_table(process),
        "\n".join(f"- {note}" for note in figure.notes),
        footer(records.behind([spec]), "figure"),
        f"[SVG]({vector}) · [PNG]({bitmap}) · [CSV of the drawn numbers]({data})\n",
    ]
    return Rendered(files, "\n\n".join(part for part in parts if part))


# The one place that knows the kinds of exhibits.
RENDERERS: Mapping[type[Exhibit], Callable[[Any, Graph, Records], Rendered]] = {
    Table: render_table,
    ProcessFigure: render_process,
}


def csv_bytes(frame: "pd.DataFrame") -> bytes:
    """A frame as CSV; numbers keep all their digits."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _images(process: "Process", title: str, notice: str) -> tuple[bytes, bytes]:
    from kdbench.report.figures import draw, png, svg

    figure = draw(process, title, notice)
    return svg(figure), png(figure)


def _totals_table(process: "Process") -> str:
    from tabulate import tabulate

    last = len(process.steps) - 1
    points = sorted({round(last * quarter / 4) for quarter in range(5)})
    heads = ["sum of weights", *(f"epoch {process.epochs[i]:.1f}" for i in points)]
    lines = [
        [f"to teacher map {teacher}", *(f"{process.total(teacher)[i]:.3f}" for i in points)]
        for teacher in process.maps()
    ]
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)
