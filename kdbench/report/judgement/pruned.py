"""Claims about what searches removed, and about the students that they left."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from kdbench.exhibits import claims
from kdbench.exhibits.claims import Thresholds
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.evidence import UNMET, Evidence
from kdbench.report.judgement.outcomes import NO_RUN, Judgement, beyond
from kdbench.report.readings.dropped import Block, read_alone, read_blocks
from kdbench.report.readings.records import Record
from kdbench.report.readings.statistics import correlation
from kdbench.report.readings.sweep import read_budget


def block_dropped(check: claims.BlockDropped, evidence: Evidence) -> Judgement:
    """How much of a block is gone, beside what the penalty alone would have removed of it."""

    def dropped(record: Record) -> float:
        return read_blocks(record)[check.block].dropped()

    what = f"removed of what the layers of block {check.block} read, most of the searches"
    judgement = _of_all(evidence, dropped, max, check.thresholds, what)
    alone = [
        blocks[check.block].dropped()
        for _, record in evidence.runs.values()
        if (blocks := read_alone(record)) is not None
    ]
    if not alone:
        return judgement
    forced = max(alone)
    verdict = "alone forces this" if forced <= check.thresholds.holds else "alone would not do this"
    by_penalty = f"the penalty alone would remove {forced:.3g}: alpha {verdict}"
    return replace(judgement, evidence=f"{judgement.evidence}; {by_penalty}")


def last_layer_read(check: claims.LastLayerRead, evidence: Evidence) -> Judgement:
    """How many connections into the last layer of a block have no channel left."""

    def vanished(record: Record) -> float:
        layers = read_blocks(record)[check.block].layers
        return float(sum(after == 0 for _, after in layers[max(layers)].values()))

    what = f"connections into the last layer of block {check.block} that vanished, most of all"
    return _of_all(evidence, vanished, max, check.thresholds, what)


def dearest_removed(check: claims.DearestRemoved, evidence: Evidence) -> Judgement:
    """Whether a search removes what its penalty alone would: what costs most."""

    def alike(record: Record) -> float | None:
        alone = read_alone(record)
        pair = None if alone is None else correlation(_rates(read_blocks(record)), _rates(alone))
        return pair.r if pair else None

    what = "correlation of the channels removed with those that cost most, smallest"
    return _of_all(evidence, alike, min, check.thresholds, what)


def none_best_everywhere(check: claims.NoneBestEverywhere, evidence: Evidence) -> Judgement:
    """Whether every student is clearly beaten by some other in at least one group.

    One that clearly beats all others in all groups is the contrary.
    """
    errors = [[evidence.error(key) for key in student] for student in check.groups]
    if not any(all(student) for student in errors):
        return NO_RUN
    if not all(all(student) for student in errors):
        return Judgement(ClaimState.UNTESTED, "runs of some students are missing")
    keys = [key for student in check.groups for key in student]
    if any(evidence.unfair(evidence.planned[keys[0]], evidence.planned[key]) for key in keys):
        return Judgement(ClaimState.UNTESTED, UNMET)
    states = [_against_all(number, errors) for number in range(len(errors))]
    beaten = sum(ClaimState.FAILS in one for one in states)
    said = f"{beaten} of {len(states)} students are clearly beaten in one group or more"
    if any(set(one) == {ClaimState.HOLDS} for one in states):
        return Judgement(ClaimState.FAILS, f"{said}; one is clearly best in every group")
    done = beaten == len(states)
    return Judgement(ClaimState.HOLDS if done else ClaimState.UNTESTED, said)


def _against_all(number: int, errors: Sequence[Sequence[Sequence[float]]]) -> list[ClaimState]:
    """One student against every other in every group; being beaten must stand out among those."""
    others = [student for place, student in enumerate(errors) if place != number]
    pairs = [
        Comparison("", mine, theirs, higher=False)
        for student in others
        for mine, theirs in zip(errors[number], student, strict=True)
    ]
    return [
        ClaimState.FAILS if one.state(len(pairs)) is ClaimState.FAILS else one.state()
        for one in pairs
    ]


def _rates(blocks: dict[int, Block]) -> list[float]:
    """Drop rates of all connections of the layers, block by block."""
    return [rate for block in blocks.values() for row in block.rates() for rate in row]


def _of_all(
    evidence: Evidence,
    measure: Callable[[Record], float | None],
    extreme: Callable[[Sequence[float]], float],
    thresholds: Thresholds,
    what: str,
) -> Judgement:
    """The extreme of what is measured in the searches, undecided while one is missing or unmet."""
    records = [record for _, record in evidence.runs.values()]
    values = [value for record in records if (value := measure(record)) is not None]
    if not values:
        return NO_RUN
    judgement = beyond(extreme(values), thresholds, what)
    if not all(read_budget(record).met for record in records):
        return Judgement(ClaimState.UNTESTED, f"{judgement.evidence}; {UNMET}")
    missing = len(values) < len(evidence.planned)
    return replace(judgement, state=ClaimState.UNTESTED) if missing else judgement
