"""What `snakemake --report` shows: the exhibits that are written, with caption and category."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdbench.exhibits.tables import Exhibit, Figure, Summary, Table
from kdbench.plan.graph import Graph
from kdbench.store.paths import Paths

# Of an exhibit's files the one that Snakemake's page can show: sorted tables, drawings.
FILES = {Table: "tables/{}.csv", Summary: "tables/{}.csv", Figure: "figures/{}.svg"}
CAPTIONS = "rules/captions/{}.rst"


@dataclass(frozen=True)
class Shown:
    """One file of the report as Snakemake takes it.

    Attributes:
        path: the file.
        caption: reStructuredText, relative to the Snakefile.
        category: the paper.
        labels: columns of the list of results.
    """

    path: str
    caption: str
    category: str
    labels: dict[str, str]


def shown(graph: Graph, paths: Paths) -> Iterator[Shown]:
    """The exhibits of a plan whose files exist now.

    Files that a figure lacks, because its runs are not finished or filtered out, are no mistake.
    """
    for part in graph.parts():
        folder = paths.report(graph.scale.name, own=part.own)
        for exhibit in part.exhibits:
            file = folder / FILES[type(exhibit)].format(exhibit.slug)
            if file.is_file():
                yield _shown(exhibit, file)


def _shown(exhibit: Exhibit, file: Path) -> Shown:
    kind = type(exhibit).__name__.lower()
    paper, _, name = exhibit.id.partition("/")
    title = exhibit.title.replace("{", "{{").replace("}", "}}")  # braces would be wildcards
    labels = {"exhibit": name, "title": title}
    return Shown(str(file), CAPTIONS.format(kind), paper, labels)
