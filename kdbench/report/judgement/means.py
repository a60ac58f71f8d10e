"""The mean lead over columns: what many comparisons show together that none shows alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.readings.statistics import contrast, estimate


@dataclass(frozen=True)
class MeanLead:
    """By how much one row or run is better than another on average.

    The mean is over these columns, which are taken as they are: it says nothing of other networks.

    Attributes:
        group: what is averaged, for readers; "" where it is all of a claim.
        count: comparisons in it.
        whole: whether none is missing or unfair.
        lead: mean lead, above 0 where the first is better.
        half: half its 95 % interval; None where a spread is not known.
    """

    group: str
    count: int
    whole: bool
    lead: float
    half: float | None


def mean_leads(comparisons: Sequence[Comparison], tries: int = 1) -> list[MeanLead]:
    """The mean lead of every group that has two comparisons or more, by complete and fair ones.

    Args:
        comparisons: of all groups; a cell may be in several of a group, where its run counts once.
        tries: as of `student_t95`.
    """
    groups: dict[str, list[Comparison]] = {}
    for one in comparisons:
        groups.setdefault(one.group, []).append(one)
    means = [_mean_lead(group, members, tries) for group, members in groups.items()]
    return [mean for mean in means if mean]


def means_decide(comparisons: Sequence[Comparison]) -> tuple[ClaimState, list[MeanLead]]:
    """Whether every group's mean lead is clearly above 0; one that is clearly below is enough."""
    means = mean_leads(comparisons)
    wide = mean_leads(comparisons, tries=max(1, len(means)))
    if any(one.half is not None and one.lead < -one.half for one in wide):
        return ClaimState.FAILS, means
    clear = [one.whole and one.half is not None and one.lead > one.half for one in means]
    return ClaimState.HOLDS if clear and all(clear) else ClaimState.UNTESTED, means


def means_near(
    comparisons: Sequence[Comparison], within: float
) -> tuple[ClaimState, list[MeanLead]]:
    """Whether the interval of every group's mean lies within ±`within`; wholly outside: no."""
    means = mean_leads(comparisons)
    wide = mean_leads(comparisons, tries=max(1, len(means)))
    if any(one.half is not None and abs(one.lead) - one.half > within for one in wide):
        return ClaimState.FAILS, means
    near = [m.whole and m.half is not None and abs(m.lead) + m.half <= within for m in means]
    return ClaimState.HOLDS if near and all(near) else ClaimState.UNTESTED, means


def _mean_lead(group: str, members: Sequence[Comparison], tries: int) -> MeanLead | None:
    usable = [one for one in members if one.complete and not one.unfair]
    if len(usable) < 2:
        return None
    factors: dict[str, float] = {}
    cells: dict[str, Sequence[float]] = {}
    for number, one in enumerate(usable):
        sign = (1.0 if one.higher else -1.0) / len(usable)
        for place, (factor, values) in enumerate(((sign, one.first), (-sign, one.second))):
            cell = one.cells[place] or f"{number}.{place}"
            factors[cell] = factors.get(cell, 0.0) + factor
            cells[cell] = values
    parts = [(factor, estimate(cells[cell])) for cell, factor in factors.items()]
    lead, half = contrast(parts, tries)
    return MeanLead(group, len(usable), len(usable) == len(members), lead, half)
