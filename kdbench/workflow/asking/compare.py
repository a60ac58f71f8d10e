"""`kdbench compare`: two sets of records side by side, in lines of text."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import shortened
from kdbench.exhibits.tasks import CLASSIFICATION, SCORES
from kdbench.report.readings.statistics import estimate, welch
from kdbench.store.record_sets import RecordSet
from kdbench.workflow.asking.difference import Content, Difference, title_of
from kdbench.workflow.asking.pairing import Pairing, pair_up

MOST_NAMED = 3  # runs of one line
LONGEST = 60  # characters of a value
OUTSIDE = 0.05  # share of gaps outside their 95 % interval where nothing but chance is at work


@dataclass(frozen=True)
class Gap:
    """One cell in both sets: second minus first.

    Attributes:
        first, second: top-1 of every run at the epoch that the protocol reports, in percent.
        value: difference of the means, in points.
        half: half of its 95 % interval (Welch's); None where a side has one run, or none varies.
    """

    title: str
    first: Sequence[float]
    second: Sequence[float]
    value: float
    half: float | None

    @property
    def outside(self) -> bool:
        """Whether the interval does not hold 0."""
        return self.half is not None and abs(self.value) > self.half


def compare(first: RecordSet, second: RecordSet) -> Iterator[str]:
    """What changed between two sets of records, and whether it is more than noise; lines."""
    pairing = pair_up(first, second)
    for letter, records in (("A", first), ("B", second)):
        yield f"{letter}  {records.name}: {len(records.records)} records"
        yield from (f"   not used: {line}" for line in records.refused)
    same = sum(pair.same for pair in pairing.pairs)
    yield f"same: {same} runs (specification, versions, device, numbers, artifacts)"
    yield from _causes(pairing.pairs)
    yield from _numbers(pairing.pairs)
    yield from _alone(pairing)


def _causes(pairs: Sequence[Difference]) -> Iterator[str]:
    """One line per difference in parameters, origin or inputs."""
    causes = defaultdict[str, list[str]](list)
    for kind in ("parameters", "origin"):
        for pair in pairs:
            for key, (before, after) in getattr(pair, kind).items():
                causes[f"{key}: {_short(before)} -> {_short(after)}"].append(pair.title)
    for pair in pairs:
        if pair.inputs:
            causes["other runs among the inputs"].append(pair.title)
    if causes:
        yield "what differs (A -> B):"
    yield from (f"  {cause}  {_named(titles)}" for cause, titles in causes.items())


def _numbers(pairs: Iterable[Difference]) -> Iterator[str]:
    """One line per cell whose accuracy differs, then one for other results that do."""
    differing = [pair for pair in pairs if pair.outcome]
    gaps = [gap for gap in map(gap_of, differing) if gap and gap.value]
    if gaps:
        yield "cells (A -> B), the score at the epoch that the protocol reports:"
    yield from (f"  {gap.title}: {gap_text(gap)}" for gap in gaps)
    judged = [gap for gap in gaps if gap.half is not None]
    if judged:
        outside = sum(gap.outside for gap in judged)
        by_chance = f"{OUTSIDE * len(judged):.1f}"
        yield f"  {outside} of {len(judged)} beyond their interval; by chance alone: {by_chance}"
    others = [pair for pair in differing if pair.second["spec"]["phase"] != "evaluation"]
    if others:
        yield f"runs with other numbers or artifacts: {_named([p.title for p in others])}"


def gap_of(pair: Difference) -> Gap | None:
    """The gap of two evaluations; None for other runs, and where a record has no accuracy."""
    values = [_accuracies(record) for record in (pair.first, pair.second)]
    if not all(values):
        return None
    value, half = welch(values[1], values[0])
    return Gap(pair.title, values[0], values[1], value, half)


def gap_text(gap: Gap) -> str:
    """Both means, the gap, and what its interval says.

    >>> gap_text(Gap("", [70.0], [71.0], 1.0, None))
    '70.00 (n 1) -> 71.00 (n 1), +1.00: no spread on a side, so nothing says whether it is noise'
    """
    means = [f"{estimate(values).mean:.2f} (n {len(values)})" for values in (gap.first, gap.second)]
    text = f"{' -> '.join(means)}, {gap.value:+.2f}"
    if gap.half is None:
        return f"{text}: no spread on a side, so nothing says whether it is noise"
    verdict = "more than noise" if gap.outside else "noise would do"
    return f"{text} ± {gap.half:.2f} (95 %): {verdict}"


def _accuracies(record: Content) -> list[float]:
    metrics: Mapping[str, Any] = record["metrics"]
    if record["spec"]["phase"] != "evaluation":
        return []
    score = SCORES[record["spec"]["params"].get("task", CLASSIFICATION)]
    runs = (run[metrics["reported"]] for run in metrics.get("runs", []))
    return [score.shown(float(run[score.key])) for run in runs]


def _alone(pairing: Pairing) -> Iterator[str]:
    for letter, records in (("A", pairing.first_only), ("B", pairing.second_only)):
        if records:
            yield f"only in {letter}: {_named([title_of(record) for record in records])}"


def _named(titles: Sequence[str]) -> str:
    """How many runs, and which, as far as a line goes."""
    runs = "1 run" if len(titles) == 1 else f"{len(titles)} runs"
    more = f" and {len(titles) - MOST_NAMED} more" if len(titles) > MOST_NAMED else ""
    return f"[{runs}: {', '.join(titles[:MOST_NAMED])}{more}]"


def _short(value: Any) -> str:
    return shortened(str(value), LONGEST)
