"""From an exhibit to its files and its section of the index: one function per kind of exhibit."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.exhibits.tables import Exhibit, Figure, NamedRuns, Summary, Table
from kdbench.plan.graph import Graph
from kdbench.report.figures.reuse import images_of
from kdbench.report.latex import latex
from kdbench.report.markdown import quoted, section
from kdbench.report.panels import Panels, panels_markdown, read_panels
from kdbench.report.presentation import Presentation, csv_bytes
from kdbench.report.readings.banner import banner
from kdbench.report.readings.lines import Line, frame, read_lines
from kdbench.report.readings.provenance import made_with
from kdbench.report.readings.records import CellState, FinishedRuns, Records
from kdbench.report.stand_ins import stand_in_notes
from kdbench.report.table_page import table_markdown

TABLES, FIGURES = "tables", "figures"
FOLDERS = (TABLES, FIGURES)
SUFFIXES = (".md", ".svg", ".png", ".pdf", ".csv", ".tex")  # what people read first
LEFT_OUT = f"*{CellState.LEFT_OUT.value} by params.yaml*\n".capitalize()


@dataclass(frozen=True)
class Rendered:
    """What one exhibit puts into a report.

    Attributes:
        files: contents by path inside the report's folder.
        body: Markdown of the exhibit's own page, under its heading.
        page: where that page lies in the report.
        lines: a table's cells.
        panels: of a table whose networks see pixels.
        presentation: of a figure or summary; None without finished runs.
    """

    files: Mapping[str, bytes]
    body: str
    page: str
    lines: Sequence[Line] = ()
    panels: Panels | None = None
    presentation: Presentation | None = None


def render(
    exhibit: Exhibit, graph: Graph, records: Records, folder: Path | None = None
) -> Rendered:
    """The files and the index section of one exhibit.

    Args:
        exhibit: a table, figure or summary.
        graph: the plan.
        records: of the project.
        folder: of an earlier report, whose images are taken over where they would be the same.
    """
    return RENDERERS[type(exhibit)](exhibit, graph, records, folder)


def render_table(table: Table, graph: Graph, records: Records, _: Path | None = None) -> Rendered:
    """A table as Markdown, CSV and LaTeX."""
    lines = read_lines(graph, table, records)
    cells = [line.result for line in lines]
    body = table_markdown(graph, table, cells, records)
    page, data, tex = (f"{TABLES}/{table.slug}{suffix}" for suffix in (".md", ".csv", ".tex"))
    links = f"[CSV, one line per cell]({table.slug}.csv) · [LaTeX]({table.slug}.tex)\n"
    numbers = frame(lines)
    panels = read_panels(lines, records)
    below = f"\n{panels_markdown(panels)}\n" if panels else ""
    files = {
        page: page_of(table, graph, f"{body}\n{links}{below}"),
        data: csv_bytes(numbers),
        tex: latex(numbers, table.title, banner(graph)).encode(),
        **(panels.files if panels else {}),
    }
    return Rendered(files, body, page, lines, panels)


def render_named_runs(
    exhibit: NamedRuns, graph: Graph, records: Records, report: Path | None = None
) -> Rendered:
    """A figure or summary, of those of its runs that have finished."""
    planned = {key: spec for key, spec in graph.drawn[exhibit.id].items() if spec}
    folder, kind = (TABLES, "summary") if isinstance(exhibit, Summary) else (FIGURES, "figure")
    page = f"{folder}/{exhibit.slug}.md"
    runs = records.finished(planned)
    if not planned:
        return Rendered({page: page_of(exhibit, graph, LEFT_OUT)}, LEFT_OUT, page)
    notes = [f"Not used: {line}." for line in records.altered(list(planned.values()))]
    if not runs:
        body = f"{' '.join([f'*{CellState.NOT_RUN.value}*', *notes])}\n"
        return Rendered({page: page_of(exhibit, graph, body)}, body, page)
    presentation = present(exhibit, graph, runs, records)
    files = dict(_images(exhibit, graph, runs, presentation, report))
    files["csv"] = csv_bytes(presentation.numbers)
    places = {suffix: f"{exhibit.slug}.{suffix}" for suffix in files}
    behind = records.behind([spec for spec, _ in runs.values()])
    absent = len(planned) - len(runs) - len(notes)
    if absent:
        notes.insert(0, f"{absent} of {len(planned)} runs are not run yet.")
    notes += records.stale(list(planned.values())) + stand_in_notes(graph, exhibit)
    body = section(exhibit, presentation, places, " ".join(notes), made_with(behind, kind))
    by_place = {f"{folder}/{places[suffix]}": content for suffix, content in files.items()}
    by_place[page] = page_of(exhibit, graph, body)
    return Rendered(by_place, body, page, presentation=presentation)


def _images(
    exhibit: NamedRuns,
    graph: Graph,
    runs: FinishedRuns,
    presentation: Presentation,
    report: Path | None,
) -> Mapping[str, bytes]:
    if not isinstance(exhibit, Figure):
        return {}
    folder = report / FIGURES if report else None
    return images_of(exhibit, graph, runs, presentation, folder)


def page_of(exhibit: Exhibit, graph: Graph, body: str) -> bytes:
    """An exhibit's own page in Markdown, under its notice and title."""
    return f"{quoted(banner(graph))}# {exhibit.title}\n\n{body}".encode()


def present(exhibit: NamedRuns, graph: Graph, runs: FinishedRuns, records: Records) -> Presentation:
    """What the exhibit's own renderer makes of its finished runs, for any kind of page.

    Args:
        exhibit: a figure, whose renderer lies in `figures/`, or a summary (`summaries/`).
        graph: the plan.
        runs: finished ones by the exhibit's keys.
        records: for a summary, which may also read what these runs depend on.
    """
    presentation: Presentation
    if isinstance(exhibit, Summary):
        presentation = _renderer("summaries", exhibit)(exhibit, runs, records)
    else:
        presentation = _renderer("figures", exhibit)(exhibit, graph, runs)
    return presentation


def _renderer(folder: str, exhibit: NamedRuns) -> Callable[..., Any]:
    module = importlib.import_module(f"kdbench.report.{folder}.{exhibit.renderer}")
    function: Callable[..., Any] = module.render
    return function


# With `present`, the one place that knows the kinds of exhibits.
RENDERERS: Mapping[type[Exhibit], Callable[[Any, Graph, Records, Path | None], Rendered]] = {
    Table: render_table,
    Figure: render_named_runs,
    Summary: render_named_runs,
}
