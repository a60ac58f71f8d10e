"""Whether searched processes bear out what DistPro's paper says of them."""

from collections.abc import Sequence
from itertools import combinations

from kdbench.exhibits import claims
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.evidence import Evidence
from kdbench.report.judgement.outcomes import NO_RUN, Judgement, beyond
from kdbench.report.readings.course import Course, likeness, read_course
from kdbench.report.readings.process import PathwayProcess, read_process

TENTH = 10  # beginning and end of a process: a tenth of its listed steps
QUARTER = 4  # its early part


def alike(check: claims.ProcessesAlike, evidence: Evidence) -> Judgement:
    """The least alike of several pairs, held against the least alike seeds of one pair."""
    courses = {name: read_course(name, record) for name, (_, record) in evidence.runs.items()}
    again = check.seeds[1:]
    pairs = _correlations([course for name, course in courses.items() if name not in again])
    if not pairs:
        return NO_RUN
    across = f"smallest correlation of {len(pairs)} pairs: {min(pairs):.3g}"
    seeds = _correlations([courses[name] for name in check.seeds if name in courses])
    if not seeds:
        return Judgement(ClaimState.UNTESTED, f"{across}; no second seed to hold it against")
    within = min(seeds)
    if within <= check.thresholds.fails:
        why = f"two seeds of one pair correlate by {within:.3g} alone"
        return Judgement(ClaimState.UNTESTED, f"{across}; {why}")
    what = f"{across}; as a share of that of one pair's seeds, {within:.3g}"
    judgement = beyond(min(pairs) / within, check.thresholds, what)
    planned = len(evidence.planned) - len(again)
    if judgement.state is ClaimState.HOLDS and len(pairs) < planned * (planned - 1) // 2:
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; not of all pairs yet")
    return judgement


def vanish(check: claims.WeightsVanish, evidence: Evidence) -> Judgement:
    """The largest weight at the end, held against the mean weight at the beginning."""
    process = _process(evidence)
    if process is None:
        return NO_RUN
    first, last = process.weights[0], process.weights[-1]
    ratio = max(last) / (sum(first) / len(first))
    return beyond(
        ratio, check.thresholds, "largest weight at the end over the mean at the beginning"
    )


def rise(check: claims.WeightsRise, evidence: Evidence) -> Judgement:
    """The centre is below that of equal weights early, and above where it began at the end."""
    process = _process(evidence)
    if process is None:
        return NO_RUN
    steps = len(process.steps)
    tenth, quarter = max(1, steps // TENTH), max(1, steps // QUARTER)
    begin, end = (centre(process, part) for part in (slice(tenth), slice(-tenth, None)))
    low = centre(process, slice(quarter)) - equal_centre(process)
    early = beyond(low, check.early, "the weights' centre early, less that of equal weights")
    late = beyond(end - begin, check.thresholds, "its rise from beginning to end, in teacher maps")
    states = {early.state, late.state}
    decisive = ClaimState.FAILS if ClaimState.FAILS in states else ClaimState.UNTESTED
    state = states.pop() if len(states) == 1 else decisive
    return Judgement(state, f"{early.evidence}; {late.evidence}")


def centre(process: PathwayProcess, part: slice) -> float:
    """Mean number of the teacher map, weighted by the weights of some listed steps."""
    sums = {number: sum(process.total(number)[part]) for number in process.maps()}
    whole = sum(sums.values())
    return sum(number * weight for number, weight in sums.items()) / whole if whole else 0.0


def equal_centre(process: PathwayProcess) -> float:
    """Mean number of the teacher map over all pathways."""
    return sum(pathway.teacher for pathway in process.pathways) / len(process.pathways)


def _correlations(courses: Sequence[Course]) -> list[float]:
    """Of every two of them, where it is defined."""
    values = (likeness(one, other) for one, other in combinations(courses, 2))
    return [value for value in values if isinstance(value, float)]


def _process(evidence: Evidence) -> PathwayProcess | None:
    return next((read_process(spec, record) for spec, record in evidence.runs.values()), None)
