"""Every page of a report, as text by path; equal records give equal bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.tables import Exhibit, Table
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import in_words, row_comparisons
from kdbench.report.judgement.outcomes import Judgement
from kdbench.report.notes import READING, legend, our_readings, table_notes
from kdbench.report.presentation import DAGGERS, PAPER, csv_bytes, paper_label, source_marks
from kdbench.report.readings.banner import banner, changed_parameters, comparable
from kdbench.report.readings.lines import Line, frame
from kdbench.report.readings.provenance import DEVICES, VERSIONS, hours, made_with
from kdbench.report.readings.records import Records
from kdbench.report.render import Rendered
from kdbench.report.site import charts
from kdbench.report.site.boards import MethodRow, averaged, cells_by_method, lead_over, method_rows
from kdbench.report.site.details import Detail, read_detail
from kdbench.report.site.figure_charts import figure_chart
from kdbench.report.site.overview import Overview, Work
from kdbench.report.site.ranks import ranking
from kdbench.report.site.running import idle_page
from kdbench.report.site.shell import GENERATOR, RUNNING, frame_of, page
from kdbench.report.site.standings import Board, Standing, boards
from kdbench.report.site.words import STANDINGS, css, standing
from kdbench.report.stand_ins import stand_in_notes

PAGES, BOARDS = "pages", "pairs"
INTERVAL, VERDICT = "half of the 95 % interval over seeds", " Verdict:"
KINDS = {"md": "Markdown", "csv": "CSV", "tex": "LaTeX", "svg": "SVG", "png": "PNG", "pdf": "PDF"}


@dataclass
class Site:
    """A report about to be written as pages.

    Attributes:
        rendered: every exhibit with what was made of it.
        judged: the papers' claims, and what this report's runs say of them.
    """

    graph: Graph
    records: Records
    rendered: Sequence[tuple[Exhibit, Rendered]]
    judged: Sequence[tuple[Claim, Judgement]] = ()

    @cached_property
    def lines(self) -> list[Line]:
        """Every cell of every table."""
        return [line for _, part in self.rendered for line in part.lines]

    @cached_property
    def overview(self) -> Overview:
        """What the first screen shows."""
        return Overview(self.graph, self.records, self.lines, self.judged)

    @cached_property
    def boards(self) -> list[Board]:
        """All leaderboards."""
        return boards(self.graph, self.records, self.lines)

    @cached_property
    def averaged(self) -> list[Board]:
        """The leaderboards over which means are taken."""
        return averaged(self.boards)

    @cached_property
    def methods(self) -> list[MethodRow]:
        """All methods over those leaderboards."""
        return method_rows(self.averaged)

    @cached_property
    def environment(self) -> Environment:
        """Templates, with what all pages share."""
        finished = [r for r in map(self.records.get, self.graph.runs.values()) if r]
        about = f"this project's {len(finished)} records alone, {hours(finished)} of device work"
        return frame_of(self.graph, about)

    def pages(self) -> Mapping[str, bytes]:
        """All pages by path inside the report's folder."""
        pages = {
            "index.html": self._index(),
            "cells.html": self._cells(),
            "methods.html": self._methods(),
            "mine.html": self._mine(),
        }
        for exhibit, part in self.rendered:
            path = f"{PAGES}/{exhibit.slug}.html"
            if isinstance(exhibit, Table):
                pages[path] = self._table(exhibit, part)
            else:
                pages[path] = self._figure(exhibit, part)
        for board in self.boards:
            if board.standings:
                pages[f"{BOARDS}/{board.slug}.html"] = self._board(board)
        encoded = {path: text.encode() for path, text in pages.items()}
        encoded[RUNNING] = idle_page(self.graph)
        return {**encoded, "cells.csv": csv_bytes(frame(self.lines))} if self.lines else encoded

    def _page(self, template: str, here: str, **context: Any) -> str:
        return page(self.environment, template, here, context)

    def _index(self) -> str:
        claims = self.overview.claims
        counts = {s: [c.judgement.state.value for c in claims].count(s) for s in _states(claims)}
        return self._page(
            "index",
            "index.html",
            overview=self.overview,
            boards=self.boards,
            standings=STANDINGS,
            states=", ".join(f"{n} {state}" for state, n in counts.items()) or "none here",
            plugins=self._plugins(),
        )

    def _plugins(self) -> list[str]:
        return [self._label(name) for name in self.graph.components.plugin_methods()]

    def _label(self, method: str) -> str:
        return self.graph.components.get("method", method, where="report").label

    def _cells(self) -> str:
        lines = [line for line in self.lines if standing(line)]
        pairs = sorted({f"{line.teacher} → {line.student}" for line in lines})
        states = [state for state in STANDINGS if any(standing(line) == state for line in lines)]
        papers = list(dict.fromkeys(line.paper for line in lines))
        filters = [
            ("paper", "paper", [(name, paper_label(name)) for name in papers]),
            ("pair", "pair", [(pair, pair) for pair in pairs]),
            ("method", "method", [(row, row) for row in sorted({line.row for line in lines})]),
            ("standing", "standing", [(css(state), state) for state in states]),
        ]
        return self._page("cells", "cells.html", lines=lines, filters=filters)

    def _methods(self) -> str:
        spec = charts.accuracy_against_cost(self.methods)
        command = self.overview.all.command
        return self._page(
            "methods",
            "methods.html",
            rows=self.methods,
            spec=spec,
            command=command,
            ranking=ranking(cells_by_method(self.averaged), self.averaged),
            metric=self.averaged[0].metric if self.averaged else "",
            apart=[b for b in self.boards if b.standings and b not in self.averaged],
        )

    def _mine(self) -> str:
        rows = [row for row in self.methods if row.plugin]
        places = {row.method: list(self._places(row.method)) for row in rows}
        measured = {row.method for row in rows}
        waiting = [label for label in self._plugins() if label not in measured]
        kd, cells = self._label("kd"), cells_by_method(self.averaged)
        leads = {row.method: lead_over(cells[row.method], cells.get(kd, {})) for row in rows}
        return self._page(
            "mine",
            "mine.html",
            rows=rows,
            places=places,
            waiting=waiting,
            leads=leads,
            kd=kd,
            command=self.overview.all.command,
        )

    def _places(self, method: str) -> Iterator[tuple[Board, int, Standing]]:
        for board in self.boards:
            for place, one in enumerate(board.standings, 1):
                if one.method == method:
                    yield board, place, one

    def _board(self, board: Board) -> str:
        tables = list(dict.fromkeys(line.table.id for line in board.lines))
        command = self.overview.command_for(tables)
        path = f"{BOARDS}/{board.slug}.html"
        printed = any(one.line.published for one in board.standings)
        judged = any(one.line.now and one.line.now.against for one in board.standings)
        return self._page(
            "board", path, board=board, command=command, printed=printed, judged=judged
        )

    def _work(self, exhibit: Exhibit) -> Work:
        runs = {s.digest: s for t in self.graph.behind(exhibit) for s in t.with_upstream()}
        return self.overview.work(runs.values(), self.overview.command_for([exhibit.id]))

    def _table(self, table: Table, part: Rendered) -> str:
        graph, records = self.graph, self.records
        results = [line.result for line in part.lines]
        planned = self.graph.behind(table)
        compared = row_comparisons(graph, table, results, records)
        columns = {line.place[1]: line.head for line in part.lines}
        filled = sorted({line.place[1] for line in part.lines if line.now})
        rows = list(self._rows(part.lines))
        shown = [row for row in rows if any(line.now for line in row[2])]
        return self._page(
            "table",
            f"{PAGES}/{table.slug}.html",
            table=table,
            legend=_legend(graph, table),
            sources=source_marks(line.published for line in part.lines),
            shown=[(a, b, [line for line in c if line.place[1] in filled]) for a, b, c in shown],
            heads=[columns[place] for place in filled],
            folded=[row for row in rows if row not in shown],
            all_heads=list(columns.values()),
            comparisons=[f"{one.name}: {in_words(one, len(compared))}." for one in compared],
            notes=[n for n in table_notes(graph, table, results, records) if n[:1] not in DAGGERS],
            made=made_with(records.behind(planned), "table"),
            work=self._work(table),
            files=_files(part),
            panels=part.panels,
            details=list(self._details(part.lines, set(filled))),
        )

    def _rows(self, lines: Sequence[Line]) -> Iterator[tuple[str, str, list[Line]]]:
        """Label, mark and cells of every row."""
        for _, group in groupby(lines, key=lambda line: line.place[0]):
            cells = list(group)
            ours = our_readings(self.graph, [line.result for line in cells])
            yield cells[0].row, READING if ours else "", cells

    def _details(self, lines: Sequence[Line], filled: set[int]) -> Iterator[Detail]:
        """Of every planned cell that the page has a button for."""
        for line in lines:
            hidden = line.place[1] not in filled and any(
                other.now for other in lines if other.place[0] == line.place[0]
            )
            if line.evaluation and not hidden:
                yield read_detail(self.graph, line, self.records, self._reasons(line))

    def _reasons(self, line: Line) -> list[str]:
        """Why the number may differ from the published one, as far as the plan knows."""
        readings = our_readings(self.graph, [line.result])
        reasons = [f"Our reading of {label}: {text}" for label, text in readings.items()]
        if line.published and not comparable(self.graph, line.evaluation):
            changed = changed_parameters(self.graph)
            why = banner(self.graph) or f"params.yaml overrides {', '.join(changed)}."
            reasons.append(why)
        if line.published and not line.published.comparable:
            reasons.append("The published number is marked as not comparable with any of ours.")
        if line.published and line.published.source != PAPER:
            reasons.append("The published number was not read in the paper itself.")
        if DEVICES in line.marks:
            reasons.append("Its runs were made on different devices.")
        if VERSIONS in line.marks:
            reasons.append("Its runs were made by different versions of PyTorch.")
        if line.now and len(line.now.values) == 1:
            reasons.append("One seed has no interval: another seed may give another number.")
        return reasons

    def _figure(self, exhibit: Any, part: Rendered) -> str:
        shown = part.presentation
        spec = figure_chart(exhibit.renderer, shown.numbers) if shown else None
        images = [path for path in part.files if path.endswith(".svg")]
        planned = self.graph.behind(exhibit)
        altered = self.records.altered(planned)
        return self._page(
            "figure",
            f"{PAGES}/{exhibit.slug}.html",
            exhibit=exhibit,
            presentation=shown,
            image=images[0] if images else "",
            spec=spec,
            work=self._work(exhibit),
            remarks=[
                *(f"Not used: {line}." for line in altered),
                *self.records.stale(planned),
                *stand_in_notes(self.graph, exhibit),
            ],
            made=made_with(self.records.behind(planned), "exhibit") if shown else "",
            files=_files(part),
        )


def is_ours(path: Path) -> bool:
    """Whether a page was written by a report."""
    return GENERATOR in path.read_text(encoding="utf-8", errors="replace")


def _legend(graph: Graph, table: Table) -> tuple[str, str]:
    """What the numbers are, and how verdicts come about; "" where there are none."""
    numbers, word, verdicts = legend(graph, table, INTERVAL).partition(VERDICT)
    return numbers, word.strip() + verdicts


def _states(claims: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(claim.judgement.state.value for claim in claims))


def _files(part: Rendered) -> list[tuple[str, str]]:
    """Paths and kinds of an exhibit's files, except its panels."""
    panels = part.panels.files if part.panels else {}
    paths = [path for path in part.files if path not in panels]
    return [(path, KINDS.get(path.rpartition(".")[2], path)) for path in paths]
