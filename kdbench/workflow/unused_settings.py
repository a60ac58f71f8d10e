"""What params.yaml sets for names that exist, and that no run of the plan has."""

from collections.abc import Iterator

from kdbench.exhibits.requests import Request, StudentRequest, TeacherRequest
from kdbench.exhibits.tables import requests_of
from kdbench.plan.graph import Graph
from kdbench.store.teacher_runs import ImportedTeacher


def unused_settings(graph: Graph) -> Iterator[str]:
    """One line for every imported teacher, number of ranks and method that no run has."""
    yield from _unused_teachers(graph)
    yield from _unused_ranks(graph)
    yield from absent_methods(graph)


def absent_methods(graph: Graph) -> Iterator[str]:
    """One line for every entry of `methods_only` that is a row of no planned exhibit."""
    requests = (request for exhibit in graph.exhibits for request in requests_of(exhibit))
    rows = {request.method for request in requests if isinstance(request, StudentRequest)}
    for name in graph.params.methods_only:
        if name not in rows:
            advice = 'choose one that has it, as exhibits: ["distpro/table1"]'
            yield f"methods_only, {name}: no chosen exhibit has that row; {advice}"


def _unused_teachers(graph: Graph) -> Iterator[str]:
    used = {
        f"{run.dataset}/{run.network.name}"
        for run in graph.runs.values()
        if isinstance(run, ImportedTeacher)
    }
    for key in graph.params.teachers:
        if key not in used:
            stand_in = graph.scale.stand_in
            why = "its stand-in's teachers are trained" if stand_in else "no run has that teacher"
            yield f"teachers, {key}: not used at scale {graph.params.scale}: {why}"


def _unused_ranks(graph: Graph) -> Iterator[str]:
    scale, ranks = graph.params.scale, graph.params.ranks
    if graph.scale.stand_in:
        why = f"stand-ins are small, and take scales: {{{scale}: {{ranks: N}}}}"
        yield from (f"ranks, {key}: not used at scale {scale}: {why}" for key in ranks)
        return
    asked = (request for exhibit in graph.exhibits for request in requests_of(exhibit))
    used = {key for request in asked for key in _keys(request)} if ranks else set()
    for key in ranks:
        if key not in used:
            yield f"ranks, {key}: not used at scale {scale}: no exhibit trains that"


def _keys(request: Request) -> Iterator[str]:
    """The keys of `ranks` that a request's runs may have."""
    if isinstance(request, TeacherRequest):
        yield f"{request.dataset}/{request.network}"
        return
    pair = request.pair
    for trained in (pair.key, pair.student, pair.teacher):
        yield f"{request.dataset}/{trained}"
    yield from (f"{request.dataset}/{one.network}" for one in pair.further)
    for search in (getattr(request, "pruned_by", None), getattr(request, "origin", None)):
        if search is not None:
            yield from _keys(search)
