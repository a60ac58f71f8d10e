"""`kdbench why CLAIM`: how a paper's claim stands, where its evidence is, and what decides it."""

from collections import Counter
from collections.abc import Iterator

from kdbench.exhibits.claims import Claim
from kdbench.plan.graph import Graph
from kdbench.report.judgement.judge import judge_claim
from kdbench.report.judgement.needed import needed
from kdbench.report.readings.banner import banner
from kdbench.report.readings.records import Records
from kdbench.report.site.overview import Overview
from kdbench.store.student_runs import EvaluationRun, SearchRun
from kdbench.workflow.asking.exhibit import terms_of
from kdbench.workflow.named import to_plan


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
        yield to_plan(claim.exhibits, graph)
        return
    yield f"  evidence in: {', '.join(exhibit.id for exhibit in view.exhibits)}"
    need = needed(claim, graph, records)
    targets = [run for run in need.runs.values() if isinstance(run, EvaluationRun | SearchRun)]
    yield from terms_of(view.exhibits, targets)
    made = Counter(run.phase for run in need.runs.values() if records.get(run))
    done = f" ({', '.join(f'{n} {phase}' for phase, n in made.items())})" if made else ""
    yield f"  runs: {view.work.done} of {view.work.planned} done{done}"
    if view.work.missing:
        yield f"  to make the others: {view.work.command}"
