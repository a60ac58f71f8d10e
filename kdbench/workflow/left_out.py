"""Exhibits that are asked for by name on data sets that are not."""

from collections.abc import Iterator

from kdbench.exhibits.tables import Exhibit
from kdbench.papers import catalogue
from kdbench.plan.graph import Graph, datasets_of


def left_out(graph: Graph) -> Iterator[str]:
    """A line for each exhibit that `exhibits` names and of whose data sets `datasets` has none.

    Those that a paper's name or "all" stands for are left out without a word.
    """
    for exhibit in catalogue():
        if exhibit.id in graph.params.exhibits and lacks_data(exhibit, graph):
            yield f"{exhibit.id} is left out: {what_it_lacks(exhibit)}"


def lacks_data(exhibit: Exhibit, graph: Graph) -> bool:
    """Whether `datasets` has none of an exhibit's data sets."""
    return not datasets_of(exhibit) & {*graph.params.datasets}


def what_it_lacks(exhibit: Exhibit) -> str:
    """What is found, and what to do."""
    names = ", ".join(sorted(datasets_of(exhibit)))
    return f"`datasets` has none of its data sets; add {names}"
