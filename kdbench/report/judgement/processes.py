"""Whether searched processes bear out what DistPro's paper says of them."""

from kdbench.exhibits import claims
from kdbench.report.judgement.comparisons import ClaimState
from kdbench.report.judgement.evidence import Evidence
from kdbench.report.judgement.outcomes import NO_RUN, Judgement, beyond
from kdbench.report.readings.course import likeness, read_course
from kdbench.report.readings.process import PathwayProcess, read_process

TENTH = 10  # beginning and end of a process: a tenth of its listed steps


def alike(check: claims.ProcessesAlike, evidence: Evidence) -> Judgement:
    """The least alike of a figure's processes."""
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
    """How far the weights' centre moves from the beginning to the end."""
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
