"""`kdbench why CLAIM`: how a paper's claim stands, where its evidence is, and what decides it."""

from collections.abc import Iterator

from kdbench.exhibits.claims import Claim
from kdbench.papers import all_claims
from kdbench.plan.graph import Graph
from kdbench.report.judgement.judge import judge_claim
from kdbench.report.readings.banner import banner
from kdbench.report.readings.records import Records
from kdbench.report.site.overview import Overview


def find_claim(name: str) -> Claim | None:
    """The claim of that id, if there is one."""
    return next((claim for claim in all_claims() if claim.id == name), None)


def describe_claim(claim: Claim, graph: Graph, records: Records) -> Iterator[str]:
    """What the paper says, the state with its evidence, and the command for missing runs; lines.

    Raises:
        DamagedData: a record lacks something.
    """
    judgement = judge_claim(claim, graph, records)
    (view,) = Overview(graph, records, [], [(claim, judgement)]).claims
    yield f"{claim.id} ({claim.where}): {claim.text}"
    yield from ([f"  {notice}"] if (notice := banner(graph)) else [])
    yield f"  {judgement.state.value}: {judgement.evidence}"
    if judgement.mean:
        yield f"  in the mean {judgement.mean.state.value}: {judgement.mean.evidence}"
    if not claim.exhibits:
        return
    if not view.exhibits:
        yield f"  to plan its runs, put into params.yaml:  exhibits: [{', '.join(claim.exhibits)}]"
        return
    yield f"  evidence in: {', '.join(exhibit.id for exhibit in view.exhibits)}"
    yield f"  runs: {view.work.done} of {view.work.planned} done"
    if view.work.missing:
        yield f"  to make the others: {view.work.command}"
