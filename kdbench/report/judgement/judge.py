"""The papers' claims: judged by the records of this report, and printed with the evidence."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kdbench.exhibits import claims
from kdbench.exhibits.claims import Claim
from kdbench.papers import all_claims
from kdbench.plan.graph import Graph
from kdbench.report.figures.drawing import pipe
from kdbench.report.judgement.evidence import UNMET, Evidence
from kdbench.report.judgement.outcomes import (
    NO_RUN,
    Comparison,
    Outcome,
    State,
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
from kdbench.report.readings.process import Process, read_process
from kdbench.report.readings.records import Records
from kdbench.report.readings.statistics import correlation
from kdbench.report.readings.sweep import read_budget, read_sweep

NO_EXHIBIT = "no exhibit of it is built"
TENTH = 10  # beginning and end of a process: a tenth of its listed steps


def claims_section(graph: Graph, records: Records) -> str:
    """A table of every claim of the papers in this report; "" where they make none."""
    papers = {exhibit.id.partition("/")[0] for exhibit in graph.exhibits}
    lines = []
    for claim in all_claims():
        if claim.id.partition("/")[0] in papers:
            outcome = judged(claim, graph, records)
            lines.append([claim.text, claim.where, f"**{outcome.state.value}**", outcome.evidence])
    return pipe(lines, ["claim", "where", "state", "evidence"]) if lines else ""


def judged(claim: Claim, graph: Graph, records: Records) -> Outcome:
    """One claim; where numbers are not comparable it is never decided, only its evidence told.

    Raises:
        DamagedData: a record lacks something.
    """
    if claim.check is None:
        return Outcome(State.UNTESTED, NO_EXHIBIT)
    shown = {exhibit.id: exhibit for exhibit in graph.exhibits}
    there = [shown[name] for name in claim.exhibits if name in shown]
    absent = [name for name in claim.exhibits if name not in shown]
    left_out = f"params.yaml leaves out {', '.join(absent)}" if absent else ""
    if not there:
        return Outcome(State.UNTESTED, left_out)
    outcome = evaluate(claim.check, [Evidence(graph, exhibit, records) for exhibit in there])
    if left_out:
        held = State.UNTESTED if outcome.state is State.HOLDS else outcome.state
        outcome = Outcome(held, f"{outcome.evidence}; {left_out}")
    if (comparable(graph) and not changed_parameters(graph)) or outcome.evidence == NO_RUN.evidence:
        return outcome
    return Outcome(State.UNTESTED, f"here: {outcome.evidence}")


def evaluate(check: Any, evidence: list[Evidence]) -> Outcome:
    """A check on one exhibit, or on several tables of one layout together."""
    kind = type(check)
    if kind in COMPARED:
        found = [c for one in evidence for c in COMPARED[kind](check, one)]
        return every_near(found, check.within) if kind is claims.RowsNear else every_better(found)
    (one,) = evidence
    return MEASURED[kind](check, one)


def _rows_above(check: claims.RowsAbove, found: Evidence) -> list[Comparison]:
    return found.rows(check.pairs)


def _row_best(check: claims.RowBest, found: Evidence) -> list[Comparison]:
    return found.row_against_all(check.row, check.apart)


def _rows_near(check: claims.RowsNear, found: Evidence) -> list[Comparison]:
    return found.rows([(check.row, check.other)])


def _columns_above(check: claims.ColumnsAbove, found: Evidence) -> list[Comparison]:
    return found.columns(check.pairs)


def _runs_above(check: claims.RunsAbove, found: Evidence) -> list[Comparison]:
    return found.errors(check.pairs)


def _alike(check: claims.ProcessesAlike, found: Evidence) -> Outcome:
    courses = [read_course(name, record) for name, (_, record) in found.runs.items()]
    pairs = [(a, b) for i, a in enumerate(courses) for b in courses[i + 1 :]]
    numbers = [v for a, b in pairs if isinstance(v := likeness(a, b), float)]
    if not numbers:
        return NO_RUN
    outcome = beyond(min(numbers), check.lines, f"smallest correlation of {len(numbers)} pairs")
    wanted = len(found.graph.drawn[found.exhibit.id])
    if outcome.state is State.HOLDS and len(numbers) < wanted * (wanted - 1) // 2:
        return Outcome(State.UNTESTED, f"{outcome.evidence}; not of all pairs yet")
    return outcome


def _process(found: Evidence) -> Process | None:
    return next((read_process(spec, record) for spec, record in found.runs.values()), None)


def _vanish(check: claims.WeightsVanish, found: Evidence) -> Outcome:
    process = _process(found)
    if process is None:
        return NO_RUN
    first, last = process.weights[0], process.weights[-1]
    ratio = max(last) / (sum(first) / len(first))
    return beyond(ratio, check.lines, "largest weight at the end over the mean at the beginning")


def _rise(check: claims.WeightsRise, found: Evidence) -> Outcome:
    process = _process(found)
    if process is None:
        return NO_RUN
    length = max(1, len(process.steps) // TENTH)
    begin, end = (centre(process, part) for part in (slice(length), slice(-length, None)))
    return beyond(end - begin, check.lines, "rise of the weights' centre, in teacher maps")


def centre(process: Process, part: slice) -> float:
    """Mean number of the teacher map, weighted by the weights of some listed steps."""
    sums = {number: sum(process.total(number)[part]) for number in process.maps()}
    whole = sum(sums.values())
    return sum(number * weight for number, weight in sums.items()) / whole if whole else 0.0


def _shallow(check: claims.ShallowTakesAll, found: Evidence) -> Outcome:
    if check.run not in found.runs:
        return NO_RUN
    groups = read_aggregation(check.run, *found.runs[check.run]).groups
    shares = [(w[0] - 1 / len(w)) / (1 - 1 / len(w)) for w in groups.values() if len(w) > 1]
    if not shares:
        return Outcome(State.UNTESTED, "no group has two blocks")
    what = "excess of the shallowest block's weight over 1/n, as a share of the most possible"
    return beyond(min(shares), check.lines, f"{what}, smallest of {len(shares)} groups")


def _steps(found: Evidence, *names: str) -> list[float]:
    """Seconds of a step of those rows that have finished."""
    costs = [read_cost(n, *found.runs[n], found.records).step for n in names if n in found.runs]
    return [step for step in costs if step]


def _saved(check: claims.LossesSaved, found: Evidence) -> Outcome:
    steps = _steps(found, check.row, check.whole, check.base)
    if len(steps) < 3:
        return NO_RUN
    part, whole = (step - steps[2] for step in steps[:2])
    if whole <= 0:
        said = f"a step of {check.whole} takes no longer than one of {check.base}"
        return Outcome(State.UNTESTED, said)
    return beyond(1 - part / whole, check.lines, "share of the losses' time that is saved")


def _steps_cost(check: claims.StepsCost, found: Evidence) -> Outcome:
    steps = _steps(found, check.row, check.other)
    if len(steps) < 2:
        return NO_RUN
    return beyond(steps[0] / steps[1], check.lines, f"time of a step, {check.row} / {check.other}")


def _block(check: claims.BlockDropped, found: Evidence) -> Outcome:
    records = [record for _, record in found.runs.values()]
    if not records:
        return NO_RUN
    dropped = [read_blocks(record)[check.block].dropped() for record in records]
    what = f"removed of what the layers of block {check.block} read, larger of the data sets"
    outcome = beyond(max(dropped), check.lines, what)
    if not all(read_budget(record).met for record in records):
        return Outcome(State.UNTESTED, f"{outcome.evidence}; {UNMET}")
    fewer = len(records) < len(found.graph.drawn[found.exhibit.id])
    return replace(outcome, state=State.UNTESTED) if fewer else outcome


def _smallest(check: claims.SmallestBest, found: Evidence) -> Outcome:
    return _whole(found, smallest_best(read_sweep(found.runs, check.x)))


def _rises(check: claims.ErrorRises, found: Evidence) -> Outcome:
    tries = read_sweep(found.runs, check.x)
    points = [(t.x, t.error.mean) for t in tries if t.error]
    if not points:
        return NO_RUN
    outcome = error_rises(correlation([x for x, _ in points], [y for _, y in points]), check.p)
    if any(t.search and not t.search.met for t in tries):
        return Outcome(State.UNTESTED, f"{outcome.evidence}; {UNMET}")
    return _whole(found, outcome)


def _whole(found: Evidence, outcome: Outcome) -> Outcome:
    """The outcome, undecided where a run of the figure is missing."""
    missing = len(found.graph.drawn[found.exhibit.id]) - len(found.runs)
    if not missing or outcome == NO_RUN:
        return outcome
    return Outcome(State.UNTESTED, f"{outcome.evidence}; {missing} runs of the figure are missing")


COMPARED: Mapping[type, Callable[[Any, Evidence], list[Comparison]]] = {
    claims.RowsAbove: _rows_above,
    claims.RowBest: _row_best,
    claims.RowsNear: _rows_near,
    claims.ColumnsAbove: _columns_above,
    claims.RunsAbove: _runs_above,
}
MEASURED: Mapping[type, Callable[[Any, Evidence], Outcome]] = {
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
