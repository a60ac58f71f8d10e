"""Claims about one value that an exhibit's records give, against the thresholds of the claim."""

from collections.abc import Callable, Mapping
from typing import Any

from kdbench.exhibits import claims
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.evidence import UNMET, Evidence
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    Judgement,
    beyond,
    error_rises,
    errors_apart,
    fewer,
    lead_grows,
    smallest_best,
)
from kdbench.report.judgement.processes import alike, rise, vanish
from kdbench.report.judgement.pruned import (
    block_dropped,
    dearest_removed,
    last_layer_read,
    none_best_everywhere,
)
from kdbench.report.readings.aggregation import read_aggregation
from kdbench.report.readings.cost import Cost, read_cost
from kdbench.report.readings.statistics import correlation
from kdbench.report.readings.sweep import read_sweep


def _shallow(check: claims.ShallowTakesAll, evidence: Evidence) -> Judgement:
    if check.run not in evidence.runs:
        return NO_RUN
    groups = read_aggregation(check.run, *evidence.runs[check.run]).groups
    shares = [(w[0] - 1 / len(w)) / (1 - 1 / len(w)) for w in groups.values() if len(w) > 1]
    if not shares:
        return Judgement(ClaimState.UNTESTED, "no group has two blocks")
    what = "excess of the shallowest block's weight over 1/n, as a share of the most possible"
    return beyond(min(shares), check.thresholds, f"{what}, smallest of {len(shares)} groups")


def _costs(evidence: Evidence, *names: str) -> list[Cost]:
    """Of those named rows of a cost table that have finished."""
    labels = [label for name in names if (label := evidence.called(name))]
    return [
        read_cost(label, *evidence.runs[label], evidence.records)
        for label in labels
        if label in evidence.runs
    ]


def _steps(evidence: Evidence, *names: str) -> list[float]:
    """Seconds per training step, of those named rows that have finished."""
    return [cost.step for cost in _costs(evidence, *names) if cost.step]


def _search_costs(check: claims.SearchCosts, evidence: Evidence) -> Judgement:
    costs = _costs(evidence, check.row)
    shares = [cost.search / cost.training for cost in costs if cost.search and cost.training]
    if not shares:
        return NO_RUN
    return beyond(shares[0], check.thresholds, f"time of {check.row}'s search / of its training")


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


def _fewer(check: claims.FewerParameters, evidence: Evidence) -> Judgement:
    pairs = [
        (here, there)
        for a, b in check.pairs
        if (here := evidence.called(a)) and (there := evidence.called(b))
    ]
    sizes = {
        key: record.number("metrics", "parameters") for key, (_, record) in evidence.runs.items()
    }
    known = [(a, sizes[a], b, sizes[b]) for a, b in pairs if a in sizes and b in sizes]
    judgement = fewer(known, len(pairs))
    unmet = any(evidence.unfair(evidence.planned[a], evidence.planned[b]) for a, _, b, _ in known)
    if unmet:
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; {UNMET}")
    return judgement


def _apart(check: claims.ErrorsApart, evidence: Evidence) -> Judgement:
    groups = [
        {key: evidence.error(key) for one in group if (key := evidence.called(one))}
        for group in check.groups
    ]
    return errors_apart([group for group in groups if group], check.thresholds)


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


def _grows(check: claims.LeadGrows, evidence: Evidence) -> Judgement:
    pairs = evidence.errors((check.here, check.there))
    if len(pairs) < 2 or not all(pair.complete for pair in pairs):
        return NO_RUN
    return lead_grows(*pairs)


MEASURED: Mapping[type, Callable[[Any, Evidence], Judgement]] = {
    claims.ProcessesAlike: alike,
    claims.WeightsVanish: vanish,
    claims.WeightsRise: rise,
    claims.ShallowTakesAll: _shallow,
    claims.StepsCost: _steps_cost,
    claims.SearchCosts: _search_costs,
    claims.FewerParameters: _fewer,
    claims.ErrorsApart: _apart,
    claims.LossesSaved: _saved,
    claims.BlockDropped: block_dropped,
    claims.LastLayerRead: last_layer_read,
    claims.DearestRemoved: dearest_removed,
    claims.NoneBestEverywhere: none_best_everywhere,
    claims.SmallestBest: _smallest,
    claims.LeadGrows: _grows,
    claims.ErrorRises: _rises,
}
