"""Which runs of its exhibits a claim needs: those of the rows that it compares."""

from collections.abc import Iterator
from dataclasses import dataclass

from kdbench.exhibits.claims import Claim
from kdbench.exhibits.requests import Request, StudentRequest
from kdbench.exhibits.tables import Exhibit, NamedRuns, Table
from kdbench.plan.graph import FigureRun, Graph
from kdbench.report.judgement.judge import COMPARED, evidence_of
from kdbench.report.readings.records import Records
from kdbench.store.spec import RunSpec


@dataclass(frozen=True)
class Needed:
    """What deciding a claim takes.

    Attributes:
        exhibits: those of the plan that hold its evidence.
        methods: what `methods_only` may be; none where the claim needs every method of them.
        runs: by digest, what is planned of them under that filter.
    """

    exhibits: list[Exhibit]
    methods: list[str]
    runs: dict[str, RunSpec]


def needed(claim: Claim, graph: Graph, records: Records) -> Needed:
    """The exhibits, methods and runs that a claim needs.

    A claim that compares no two cells, such as one about a cost, needs its exhibits whole.

    Raises:
        DamagedData: a record lacks something.
    """
    ids = {*claim.exhibits, *(one.exhibit for one in claim.elsewhere)}
    exhibits = [exhibit for exhibit in graph.exhibits if exhibit.id in ids]
    asked = [pair for exhibit in exhibits for pair in _asked(exhibit, graph)]
    every = {method for request, _ in asked if (method := _method(request))}
    cells, methods = _compared(claim, graph, records), every
    if cells:
        methods = {m for request, run in asked if run.digest in cells and (m := _method(request))}
    kept = [run for request, run in asked if _method(request) in {"", *methods}]
    runs = {spec.digest: spec for run in kept for spec in run.with_upstream()}
    return Needed(exhibits, sorted(methods) if methods < every else [], runs)


def _compared(claim: Claim, graph: Graph, records: Records) -> set[str]:
    """Digests of the cells that it compares; none where that is not how it is judged."""
    compare = COMPARED.get(type(claim.check))
    if compare is None:
        return set()
    every = [one for e in evidence_of(claim, graph, records) for one in compare(claim.check, e)]
    return {digest for one in every for digest in one.cells if digest}


def _asked(exhibit: Exhibit, graph: Graph) -> Iterator[tuple[Request, FigureRun]]:
    """What an exhibit requests, each with its run, as far as it is planned."""
    if isinstance(exhibit, Table):
        for cell in graph.cells.get(exhibit.id, []):
            if cell.evaluation:
                yield exhibit.request(cell.row, cell.column), cell.evaluation
    elif isinstance(exhibit, NamedRuns):
        planned = graph.drawn.get(exhibit.id, {})
        yield from ((request, run) for key, request in exhibit.requests if (run := planned[key]))


def _method(request: Request) -> str:
    """The method that `methods_only` keeps it by; "" for what that never leaves out."""
    return request.method if isinstance(request, StudentRequest) else ""
