"""The papers' claims, judged by the records of this report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdbench.exhibits import claims
from kdbench.exhibits.claims import Claim
from kdbench.papers import all_claims
from kdbench.plan.graph import Graph
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.evidence import Evidence
from kdbench.report.judgement.measured import MEASURED
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    Judgement,
    every_better,
    every_near,
    every_reached,
    some_better,
)
from kdbench.report.readings.banner import changed_parameters, comparable
from kdbench.report.readings.records import Records

NO_EXHIBIT = "no exhibit of it is built"


def judge_claims(graph: Graph, records: Records) -> list[tuple[Claim, Judgement]]:
    """Every claim of the papers in this report, and of what else is in it, with its judgement.

    Raises:
        DamagedData: a record lacks something.
    """
    asked = {exhibit.id for exhibit in graph.exhibits}
    papers = {name.partition("/")[0] for name in asked}
    shown = [
        claim
        for claim in all_claims()
        if claim.id.partition("/")[0] in papers or asked & {e.exhibit for e in claim.elsewhere}
    ]
    return [(claim, judge_claim(claim, graph, records)) for claim in shown]


def judge_claim(claim: Claim, graph: Graph, records: Records) -> Judgement:
    """One claim. Where numbers are not comparable it stays undecided, with its evidence.

    Raises:
        DamagedData: a record lacks something.
    """
    if claim.check is None:
        return Judgement(ClaimState.UNTESTED, NO_EXHIBIT, without_run=True)
    asked = {exhibit.id for exhibit in graph.exhibits}
    absent = [name for name in claim.exhibits if name not in asked]
    evidence = evidence_of(claim, graph, records)
    left_out = f"params.yaml leaves out {', '.join(absent)}" if absent else ""
    if not evidence:
        return Judgement(ClaimState.UNTESTED, left_out, without_run=True)
    judgement = _judge_check(claim.check, evidence)
    if left_out:
        judgement = _kept_open(judgement, left_out)
    decided_here = comparable(graph) and not changed_parameters(graph)
    if decided_here or judgement.without_run:
        return judgement
    return _told_only(judgement)


def evidence_of(claim: Claim, graph: Graph, records: Records) -> list[Evidence]:
    """The exhibits of this report that hold evidence of a claim, its own first."""
    by_id = {exhibit.id: exhibit for exhibit in graph.exhibits}
    own = [Evidence(graph, by_id[name], records) for name in claim.exhibits if name in by_id]
    others = [
        Evidence(graph, by_id[one.exhibit], records, dict(one.names))
        for one in claim.elsewhere
        if one.exhibit in by_id
    ]
    return own + others


def _judge_check(check: Any, evidence: Sequence[Evidence]) -> Judgement:
    """A check on one exhibit, or on several together."""
    kind = type(check)
    if kind not in COMPARED:
        return _together([MEASURED[kind](check, one) for one in evidence])
    pairs = _each_once([c for one in evidence for c in COMPARED[kind](check, one)])
    if kind is claims.RowsNear:
        return every_near(pairs, check.within)
    if kind is claims.RunsReach:
        return every_reached(pairs, check.within)
    if kind in (claims.SomeRowsAbove, claims.SomeRunsAbove):
        return some_better(pairs, check.least)
    return every_better(pairs)


def _each_once(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Without those of the same two cells as an earlier one: exhibits may share runs."""
    unplanned = ("", "")
    first: dict[object, Comparison] = {}
    for number, one in enumerate(comparisons):
        first.setdefault(number if one.cells == unplanned else one.cells, one)
    return list(first.values())


def _together(judgements: Sequence[Judgement]) -> Judgement:
    """Of one value per exhibit: one contrary is enough, and all must show the claim."""
    finished = [one for one in judgements if one != NO_RUN]
    if len(judgements) == 1 or not finished:
        return judgements[0]
    states = [one.state for one in judgements]
    evidence = "; ".join(one.evidence for one in finished)
    if ClaimState.FAILS in states:
        return Judgement(ClaimState.FAILS, evidence)
    all_hold = set(states) == {ClaimState.HOLDS}
    return Judgement(ClaimState.HOLDS if all_hold else ClaimState.UNTESTED, evidence)


def _kept_open(judgement: Judgement, why: str) -> Judgement:
    """A part of what a claim is about is not here: it cannot hold, but it can fail."""
    holds = judgement.state is ClaimState.HOLDS
    state = ClaimState.UNTESTED if holds else judgement.state
    mean = judgement.mean and _kept_open(judgement.mean, why)
    evidence = f"{judgement.evidence}; {why}"
    return Judgement(state, evidence, mean, judgement.without_run)


def _told_only(judgement: Judgement) -> Judgement:
    mean = judgement.mean and replace(judgement.mean, state=ClaimState.UNTESTED)
    return Judgement(ClaimState.UNTESTED, f"here: {judgement.evidence}", mean)


def _rows_above(check: claims.RowsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.rows(check.pairs, check.columns)


def _some_rows(check: claims.SomeRowsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.rows([(check.row, check.other)])


def _row_best(check: claims.RowBest, evidence: Evidence) -> list[Comparison]:
    return evidence.row_against_all(check.row, check.apart)


def _rows_near(check: claims.RowsNear, evidence: Evidence) -> list[Comparison]:
    return evidence.rows([(check.row, check.other)])


def _columns_above(check: claims.ColumnsAbove, evidence: Evidence) -> list[Comparison]:
    return evidence.columns(check.pairs)


def _runs_above(
    check: claims.RunsAbove | claims.RunsReach | claims.SomeRunsAbove, evidence: Evidence
) -> list[Comparison]:
    return evidence.errors(check.pairs)


COMPARED: Mapping[type, Callable[[Any, Evidence], list[Comparison]]] = {
    claims.RowsAbove: _rows_above,
    claims.SomeRowsAbove: _some_rows,
    claims.RowBest: _row_best,
    claims.RowsNear: _rows_near,
    claims.ColumnsAbove: _columns_above,
    claims.RunsAbove: _runs_above,
    claims.RunsReach: _runs_above,
    claims.SomeRunsAbove: _runs_above,
}
