"""Images of a report that need not be drawn again: their SVG names what it was drawn from.

Drawing and its import take longer than all pages of a report together.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from kdbench.exhibits.tables import Figure
from kdbench.plan.graph import Graph
from kdbench.report.presentation import Presentation, csv_bytes
from kdbench.report.readings.banner import banner
from kdbench.report.readings.records import FinishedRuns, Record
from kdbench.store.canonical import digest_of
from kdbench.store.record import SEAL

KINDS = ("png", "pdf", "svg")  # the SVG is written last: it speaks for the others
HEAD = 4096  # bytes of an SVG, among which its metadata stands


def images_of(
    figure: Figure, graph: Graph, runs: FinishedRuns, shown: Presentation, folder: Path | None
) -> Mapping[str, bytes]:
    """The figure in every format, by kind.

    Args:
        figure: gives title and file name.
        graph: the plan.
        runs: that are drawn.
        shown: what the figure's renderer made of them.
        folder: with images of an earlier report, which are taken over where nothing has changed
            that is drawn; None draws.
    """
    if shown.draw is None:
        return {}
    source = source_of(figure, graph, runs, shown)
    if folder and (unchanged := _unchanged(folder, figure.slug, source)):
        return unchanged
    from kdbench.report.figures.drawing import images

    return images(shown.draw(), source)


def source_of(figure: Figure, graph: Graph, runs: FinishedRuns, shown: Presentation) -> str:
    """A digest of all that an image shows, and of the code and library that draw it."""
    return digest_of(
        {
            "title": figure.title,
            "notice": banner(graph),
            "numbers": csv_bytes(shown.numbers).decode(),
            "table": [list(shown.table.heads), *map(list, shown.table.lines)],
            "records": sorted(_content(record) for _, record in runs.values()),
            "code": _code(),
            "matplotlib": version("matplotlib"),
        }
    )


def _content(record: Record) -> str:
    return str(record.content.get(SEAL) or digest_of(record.content))


@cache
def _code() -> str:
    """A hash of the modules that draw, and of those that read for them."""
    here = Path(__file__).parent
    files = sorted([*here.glob("*.py"), *here.with_name("readings").glob("*.py")])
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _unchanged(folder: Path, slug: str, source: str) -> Mapping[str, bytes] | None:
    files = {kind: folder / f"{slug}.{kind}" for kind in KINDS}
    if not all(file.is_file() for file in files.values()):
        return None
    with files["svg"].open("rb") as opened:
        if f"<dc:identifier>{source}<".encode() not in opened.read(HEAD):
            return None
    return {kind: file.read_bytes() for kind, file in files.items()}
