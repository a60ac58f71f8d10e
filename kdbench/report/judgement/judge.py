"""The papers' claims, judged by the records of this report."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kdbench.exhibits import claims
from kdbench.exhibits.claims import Claim
from kdbench.papers import all_claims
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.evidence import UNMET, Evidence
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    Judgement,
    beyond,
    error_rises,
    every_better,
    every_near,
    smallest_best,
)
from kdbench.report.readings.aggregation import read_aggregation
from kdbench.report.readings.banner import changed_parameters, comparable
from kdbench.report.readings.cost import read_cost
from kdbench.report.readings.course import likeness, read_course
from kdbench.report.readings.dropped import read_blocks
from kdbench.report.readings.process import PathwayProcess, read_process
from kdbench.report.readings.records import Records
from kdbench.report.readings.statistics import correlation
from kdbench.report.readings.sweep import read_budget, read_sweep

NO_EXHIBIT = "no exhibit of it is built"
TENTH = 10  # beginning and end of a process: a tenth of its listed steps


def judge_claims(graph: Graph, records: Records) -> list[tuple[Claim, Judgement]]:
    """Every claim of the papers in this report, each with its judgement.

    Raises:
        DamagedData: a record lacks something.
    """
    papers = {exhibit.id.partition("/")[0] for exhibit in graph.exhibits}
    shown = [claim for claim in all_claims() if claim.id.partition("/")[0] in papers]
    return [(claim, judge_claim(claim, graph, records)) for claim in shown]


def judge_claim(claim: Claim, graph: Graph, records: Records) -> Judgement:
    """One claim. Where numbers are not comparable it stays undecided, with its evidence.

    Raises:
        DamagedData: a record lacks something.
    """
    if claim.check is None:
        return Judgement(ClaimState.UNTESTED, NO_EXHIBIT)
    by_id = {exhibit.id: exhibit for exhibit in graph.exhibits}
    shown = [by_id[name] for name in claim.exhibits if name in by_id]
    absent = [name for name in claim.exhibits if name not in by_id]
    left_out = f"params.yaml leaves out {', '.join(absent)}" if absent else ""
    if not shown:
        return Judgement(ClaimState.UNTESTED, left_out)
    judgement = _judge_check(claim.check, [Evidence(graph, one, records) for one in shown])
    if left_out:
        holds = judgement.state is ClaimState.HOLDS
        state = ClaimState.UNTESTED if holds else judgement.state
        judgement = Judgement(state, f"{judgement.evidence}; {left_out}")
    decided_here = comparable(graph) and not changed_parameters(graph)
    if decided_here or judgement.evidence == NO_RUN.evidence:
        return judgement
    return Judgement(ClaimState.UNTESTED, f"here: {judgement.evidence}")


def _judge_check(check: Any, evidence: list[Evidence]) -> Judgement:
    """A check on one exhibit, or on several tables of one layout together."""
    kind = type(check)
    if kind in COMPARED:
        pairs = [c for one in evidence for c in COMPARED[kind](check, one)]
        return every_near(pairs, check.within) if kind is claims.RowsNear else every_better(pairs)
    (one,) = evidence
    return MEASURED[kind](check, one)


def _rows_above(check: claims.RowsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.rows(check.pairs)


def _row_best(check: claims.RowBest, evidence: Evidence) -> list[Comparison]:
    return evidence.row_against_all(check.row, check.apart)


def _rows_near(check: claims.RowsNear, evidence: Evidence) -> list[Comparison]:
    return evidence.rows([(check.row, check.other)])


def _columns_above(check: claims.ColumnsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.columns(check.pairs)


def _runs_above(check: claims.RunsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.errors(check.pairs)


def _alike(check: claims.ProcessesAlike, evidence: Evidence) -> Judgement:
    courses = [read_course(name, record) for name, (_, record) in evidence.runs.items()]
    pairs = [(a, b) for i, a in enumerate(courses) for b in courses[i + 1 :]]
    numbers = [v for a, b in pairs if isinstance(v := likeness(a, b), float)]
    if not numbers:
        return NO_RUN
    judgement = beyond(
        min(numbers), check.thresholds, f"smallest correlation of {len(numbers)} pairs"
    )
    planned = len(evidence.planned)
    if judgement.state is ClaimState.HOLDS and len(numbers) < planned * (planned - 1) // 2:
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; not of all pairs yet")
    return judgement


def _process(evidence: Evidence) -> PathwayProcess | None:
    return next((read_process(spec, record) for spec, record in evidence.runs.values()), None)


def _vanish(check: claims.WeightsVanish, evidence: Evidence) -> Judgement:
    process = _process(evidence)
    if process is None:
        return NO_RUN
    first, last = process.weights[0], process.weights[-1]
    ratio = max(last) / (sum(first) / len(first))
    return beyond(
        ratio, check.thresholds, "largest weight at the end over the mean at the beginning"
    )


def _rise(check: claims.WeightsRise, evidence: Evidence) -> Judgement:
    process = _process(evidence)
    if process is None:
        return NO_RUN
    length = max(1, len(process.steps) // TENTH)
    begin, end = (centre(process, part) for part in (slice(length), slice(-length, None)))
    return beyond(end - begin, check.thresholds, "rise of the weights' centre, in teacher maps")


def centre(process: PathwayProcess, part: slice) -> float:
    """Mean number of the teacher map, weighted by the weights of some listed steps."""
    sums = {number: sum(process.total(number)[part]) for number in process.maps()}
    whole = sum(sums.values())
    return sum(number * weight for number, weight in sums.items()) / whole if whole else 0.0


def _shallow(check: claims.ShallowTakesAll, evidence: Evidence) -> Judgement:
    if check.run not in evidence.runs:
        return NO_RUN
    groups = read_aggregation(check.run, *evidence.runs[check.run]).groups
    shares = [(w[0] - 1 / len(w)) / (1 - 1 / len(w)) for w in groups.values() if len(w) > 1]
    if not shares:
        return Judgement(ClaimState.UNTESTED, "no group has two blocks")
    what = "excess of the shallowest block's weight over 1/n, as a share of the most possible"
    return beyond(min(shares), check.thresholds, f"{what}, smallest of {len(shares)} groups")


def _steps(evidence: Evidence, *names: str) -> list[float]:
    """Seconds per training step, of those named rows that have finished."""
    costs = [
        read_cost(n, *evidence.runs[n], evidence.records).step for n in names if n in evidence.runs
    ]
    return [step for step in costs if step]


def _saved(check: claims.LossesSaved, evidence: Evidence) -> Judgement:
    steps = _steps(evidence, check.row, check.whole, check.base)
    if len(steps) < 3:
        return NO_RUN
    part, whole = (step - steps[2] for step in steps[:2])
    if whole <= 0:
        why = f"a step of {check.whole} takes no longer than one of {check.base}"
        return Judgement(ClaimState.UNTESTED, why)
    return beyond(1 - part / whole, check.thresholds, "share of the losses' time that is saved")


def _steps_cost(check: claims.StepsCost, evidence: Evidence) -> Judgement:
    steps = _steps(evidence, check.row, check.other)
    if len(steps) < 2:
        return NO_RUN
    return beyond(
        steps[0] / steps[1], check.thresholds, f"time of a step, {check.row} / {check.other}"
    )


def _block(check: claims.BlockDropped, evidence: Evidence) -> Judgement:
    records = [record for _, record in evidence.runs.values()]
    if not records:
        return NO_RUN
    dropped = [read_blocks(record)[check.block].dropped() for record in records]
    what = f"removed of what the layers of block {check.block} read, larger of the data sets"
    judgement = beyond(max(dropped), check.thresholds, what)
    if not all(read_budget(record).met for record in records):
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; {UNMET}")
    fewer = len(records) < len(evidence.planned)
    return replace(judgement, state=ClaimState.UNTESTED) if fewer else judgement


def _smallest(check: claims.SmallestBest, evidence: Evidence) -> Judgement:
    return _whole(evidence, smallest_best(read_sweep(evidence.runs, check.x)))


def _rises(check: claims.ErrorRises, evidence: Evidence) -> Judgement:
    tries = read_sweep(evidence.runs, check.x)
    points = [(t.x, t.error.mean) for t in tries if t.error]
    if not points:
        return NO_RUN
    judgement = error_rises(correlation([x for x, _ in points], [y for _, y in points]), check.p)
    if any(t.search and not t.search.met for t in tries):
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; {UNMET}")
    return _whole(evidence, judgement)


def _whole(evidence: Evidence, judgement: Judgement) -> Judgement:
    """The judgement, undecided while a run of the figure is missing."""
    missing = len(evidence.planned) - len(evidence.runs)
    if not missing or judgement == NO_RUN:
        return judgement
    return Judgement(
        ClaimState.UNTESTED, f"{judgement.evidence}; {missing} runs of the figure are missing"
    )


COMPARED: Mapping[type, Callable[[Any, Evidence], list[Comparison]]] = {
    claims.RowsAbove: _rows_above,
    claims.RowBest: _row_best,
    claims.RowsNear: _rows_near,
    claims.ColumnsAbove: _columns_above,
    claims.RunsAbove: _runs_above,
}
MEASURED: Mapping[type, Callable[[Any, Evidence], Judgement]] = {
    claims.ProcessesAlike: _alike,
    claims.WeightsVanish: _vanish,
    claims.WeightsRise: _rise,
    claims.ShallowTakesAll: _shallow,
    claims.StepsCost: _steps_cost,
    claims.LossesSaved: _saved,
    claims.BlockDropped: _block,
    claims.SmallestBest: _smallest,
    claims.ErrorRises: _rises,
}
