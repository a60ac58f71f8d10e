"""The report as a step of the workflow: its identity, its record, and when it is written."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.plan.graph import Graph
from kdbench.store.canonical import digest_of
from kdbench.store.paths import Paths
from kdbench.store.record import write_record

if TYPE_CHECKING:
    from kdbench.report.readings.records import Records

REPORT = "report"
README = "README.md"
PACKAGE = Path(__file__).parents[1]
PAGES = (".jinja", ".css", ".js")  # what pages for a browser are made of


def report_digest(graph: Graph) -> str:
    """Identity of a report: the records it reads, and the code and numbers that make it."""
    code = sorted([*(PACKAGE / "report").rglob("*.py"), *(PACKAGE / "papers").glob("*.py")])
    pages = sorted(p for p in (PACKAGE / "report/site").rglob("*") if p.suffix in PAGES)
    printed = sorted((PACKAGE / "papers").glob("*.csv"))
    return digest_of(
        {
            "records": sorted(graph.runs),
            "exhibits": [exhibit.id for exhibit in graph.exhibits],
            "code": [f"{path.name} {_hash(path)}" for path in code],
            "pages": {path.name: path.read_text(encoding="utf-8") for path in pages},
            "published": {path.name: path.read_text(encoding="utf-8") for path in printed},
        }
    )


def _hash(path: Path) -> str:
    """Of the text: syntax trees would take longer than all the rest of a plan."""
    return sha256(path.read_bytes()).hexdigest()


def report_record(graph: Graph, paths: Paths) -> Path:
    """The record that says that today's report is written."""
    return paths.report_record(graph.params.scale, report_digest(graph))


def readmes(graph: Graph, paths: Paths) -> list[Path]:
    """The first page of every report of a plan, see `Graph.parts`."""
    return [paths.report(part.scale.name, own=part.own) / README for part in graph.parts()]


def write_report(graph: Graph, paths: Paths, records: "Records | None" = None) -> list[Path]:
    """Write the reports from the records that exist, and return their first pages.

    Their own record is written only when they use all records.

    Args:
        graph: the plan.
        paths: of the project.
        records: of the project, where the caller looks at them as well.
    """
    from kdbench.report.make import make_report
    from kdbench.report.readings.records import Records

    record = report_record(graph, paths)
    for older in record.parent.glob("*.json") if record.parent.is_dir() else ():
        older.unlink()  # before the page changes: no record may speak of another page
    records = Records(paths) if records is None else records
    pages = [make_report(part, paths, records) for part in graph.parts()]
    if all(records.get(run) for run in graph.runs.values()):
        write_record(record, {"phase": REPORT, "runs": sorted(graph.runs)})
    return pages
