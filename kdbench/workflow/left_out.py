"""Exhibits, and rows of them, that are asked for by name on data sets that are not."""

from collections.abc import Iterator

from kdbench.exhibits.requests import StudentRequest
from kdbench.exhibits.tables import Exhibit, requests_of
from kdbench.papers import catalogue
from kdbench.plan.graph import Graph, datasets_of, needed_by


def left_out(graph: Graph) -> Iterator[str]:
    """A line for each exhibit that `exhibits` names and of whose data sets `datasets` has none.

    Another for each of which it lacks the data sets of searches. Those that a paper's name or "all"
    stands for are left out without a word.
    """
    for exhibit in catalogue():
        if exhibit.id not in graph.params.exhibits:
            continue
        if lacks_data(exhibit, graph):
            yield f"{exhibit.id} is left out: {what_it_lacks(exhibit, graph)}"
        else:
            yield from (f"{exhibit.id}: {line}" for line in lacking_searches(exhibit, graph))


def lacks_data(exhibit: Exhibit, graph: Graph) -> bool:
    """Whether `datasets` has none of the data sets that an exhibit shows."""
    return not datasets_of(exhibit) & {*graph.params.datasets}


def what_it_lacks(exhibit: Exhibit, graph: Graph) -> str:
    """What is found, and what to do."""
    names = ", ".join(sorted(needed_by(exhibit) - {*graph.params.datasets}))
    return f"`datasets` has none of the data sets that it shows; add {names}"


def lacking_searches(exhibit: Exhibit, graph: Graph) -> Iterator[str]:
    """A line, if rows are left out only because `datasets` lacks what they are searched on."""
    asked = {*graph.params.datasets}
    searched = {
        request.origin.dataset
        for request in requests_of(exhibit)
        if isinstance(request, StudentRequest) and request.origin and request.dataset in asked
    }
    if names := ", ".join(sorted(searched - asked)):
        yield f"what is searched on {names} is left out; to have it, add {names} to `datasets`"
