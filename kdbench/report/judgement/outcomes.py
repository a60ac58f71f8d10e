"""Whether numbers bear a claim out. Pure functions; each can answer "not testable yet"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from kdbench.exhibits.claims import Thresholds
from kdbench.exhibits.keys import RunKey
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.judgement.means import MeanLead, means_decide, means_near
from kdbench.report.judgement.wording import (
    decided,
    means_in_words,
    room,
    spelt_out,
    with_spread,
)
from kdbench.report.readings.statistics import (
    Correlation,
    contrast,
    estimate,
    least_correlation,
    welch,
)
from kdbench.report.readings.sweep import Try


@dataclass(frozen=True)
class Judgement:
    """State of a claim, and why, in a sentence without its full stop.

    Attributes:
        mean: the same of the mean over columns, where there is one: a weaker claim, which the same
            seeds decide sooner.
        without_run: no finished run stands behind it, so pages fold it away.
    """

    state: ClaimState
    evidence: str
    mean: "Judgement | None" = None
    without_run: bool = False


NO_RUN = Judgement(ClaimState.UNTESTED, "none of its numbers is measured yet", without_run=True)


def every_better(comparisons: Sequence[Comparison]) -> Judgement:
    """Whether every comparison holds; one clear failure is enough to say no.

    Many comparisons make it no easier for all to hold at once. They make it easier for one of
    them to fail by chance: a failure counts where it stands out among that many tries.
    """
    complete = [one for one in comparisons if one.complete]
    if not complete:
        return NO_RUN
    clear = sum(one.state() is ClaimState.HOLDS for one in complete)
    against = sum(one.state(tries=len(complete)) is ClaimState.FAILS for one in complete)
    evidence = f"{clear} of {len(comparisons)} comparisons are clearly so, {against} clearly not"
    evidence += spelt_out(comparisons, clear + against, against=len(complete))
    state = ClaimState.HOLDS if clear == len(comparisons) else ClaimState.UNTESTED
    state = ClaimState.FAILS if against else state
    return Judgement(state, evidence, _mean(*means_decide(comparisons)))


def some_better(comparisons: Sequence[Comparison], least: int) -> Judgement:
    """Whether at least so many comparisons hold; no, once so many can hold no more.

    Here a success, too, may come by chance: it counts where it stands out among that many tries.
    """
    complete = [one for one in comparisons if one.complete]
    if not complete:
        return NO_RUN
    states = [one.state(tries=len(comparisons)) for one in complete]
    clear, against = states.count(ClaimState.HOLDS), states.count(ClaimState.FAILS)
    evidence = f"{clear} of {len(comparisons)} comparisons are clearly so, {against} clearly not"
    tries = len(comparisons)
    evidence += f"; {least} are claimed" + spelt_out(comparisons, clear + against, tries, tries)
    if clear >= least:
        return Judgement(ClaimState.HOLDS, evidence)
    open_ones = len(comparisons) - against
    return Judgement(ClaimState.FAILS if open_ones < least else ClaimState.UNTESTED, evidence)


def every_near(comparisons: Sequence[Comparison], within: float) -> Judgement:
    """Whether the 95 % interval of every difference lies within ±`within`; wholly outside: no.

    A difference outside counts as in `every_better`.
    """
    complete = [one for one in comparisons if one.complete]
    if not complete:
        return NO_RUN
    leads = [one.lead() for one in complete]
    wide = [one.lead(tries=len(complete)) for one in complete]
    far = [abs(gap) - half > within for gap, half in wide if half is not None]
    near = [half is not None and abs(gap) + half <= within for gap, half in leads]
    worst = max(complete, key=lambda one: abs(one.lead()[0]))
    evidence = f"{sum(near)} of {len(comparisons)} differences lie within ±{within:g}"
    evidence += f", {sum(far)} outside; largest: {worst.name}, {with_spread(*worst.lead())}"
    evidence += room([half for _, half in leads], within)
    mean = _mean(*means_near(comparisons, within))
    if any(far):
        return Judgement(ClaimState.FAILS, evidence, mean)
    done = all(near) and len(complete) == len(comparisons)
    return Judgement(ClaimState.HOLDS if done else ClaimState.UNTESTED, evidence, mean)


def every_reached(comparisons: Sequence[Comparison], within: float) -> Judgement:
    """Whether the whole 95 % interval of every lead lies above -`within`; wholly below: no.

    A failure counts as in `every_better`.
    """
    complete = [one for one in comparisons if one.complete]
    if not complete:
        return NO_RUN
    leads = [one.lead() for one in complete]
    wide = [one.lead(tries=len(complete)) for one in complete]
    reached = [half is not None and gap - half >= -within for gap, half in leads]
    short = [half is not None and gap + half < -within for gap, half in wide]
    worst = min(complete, key=lambda one: one.lead()[0])
    evidence = f"{sum(reached)} of {len(comparisons)} reach the other's accuracy but for "
    evidence += f"{within:g} points, {sum(short)} fall short; farthest: {worst.name}, "
    evidence += with_spread(*worst.lead())
    if any(short):
        return Judgement(ClaimState.FAILS, evidence)
    done = all(reached) and len(complete) == len(comparisons)
    return Judgement(ClaimState.HOLDS if done else ClaimState.UNTESTED, evidence)


def errors_apart(
    groups: Sequence[Mapping[RunKey, Sequence[float]]], limits: Thresholds
) -> Judgement:
    """How far the best and the worst of a group are apart, in the group where that is least.

    The two are chosen by looking: their interval is that of one among all pairs of the group.

    Args:
        groups: test errors by run's key, one per seed; none where a run is not finished.
        limits: thresholds of the difference, in points.
    """
    if not any(values for group in groups for values in group.values()):
        return NO_RUN
    if not all(values for group in groups for values in group.values()):
        return Judgement(ClaimState.UNTESTED, "runs of it are missing")
    apart = [_widest(group) for group in groups]
    gap, half, names = min(apart, key=lambda one: one[0])
    evidence = f"test errors are {with_spread(gap, half)} apart where that is least: {names} "
    evidence += f"(our thresholds: it holds from {limits.holds:g}, does not up to {limits.fails:g})"
    if all(half is not None and gap - half >= limits.holds for gap, half, _ in apart):
        return Judgement(ClaimState.HOLDS, evidence)
    if any(half is not None and gap + half <= limits.fails for gap, half, _ in apart):
        return Judgement(ClaimState.FAILS, evidence)
    return Judgement(ClaimState.UNTESTED, evidence)


def fewer(counts: Sequence[tuple[RunKey, float, RunKey, float]], planned: int) -> Judgement:
    """Whether the first of every pair is the smaller number; these have no spread.

    Args:
        counts: key and number of either, of pairs that have both.
        planned: how many pairs the claim is about.
    """
    if not counts:
        return NO_RUN
    so = sum(one < other for _, one, _, other in counts)
    first, least, second, next_ = max(counts, key=lambda one: one[1] / one[3])
    evidence = f"{so} of {planned} comparisons are so, {len(counts) - so} not; closest: "
    evidence += f"{first} {least / 1e6:.3f} M, {second} {next_ / 1e6:.3f} M"
    if so < len(counts):
        return Judgement(ClaimState.FAILS, evidence)
    return Judgement(ClaimState.HOLDS if so == planned else ClaimState.UNTESTED, evidence)


def beyond(value: float, thresholds: Thresholds, what: str) -> Judgement:
    """Whether a value lies beyond one of two thresholds."""
    holds, fails = thresholds.holds, thresholds.fails
    up = holds > fails
    evidence = f"{what}: {value:.3g} (our thresholds: it holds {_side(up)} {holds:g}, "
    evidence += f"does not {_side(not up)} {fails:g})"
    if value >= holds if up else value <= holds:
        return Judgement(ClaimState.HOLDS, evidence)
    if value <= fails if up else value >= fails:
        return Judgement(ClaimState.FAILS, evidence)
    return Judgement(ClaimState.UNTESTED, evidence)


def smallest_best(tries: Sequence[Try]) -> Judgement:
    """Whether the search with the smallest value takes longer and finds the better student.

    Args:
        tries: by rising value; the smallest is held against the largest.
    """
    if len(tries) < 2 or not (tries[0].search and tries[-1].search):
        return NO_RUN
    small, large = tries[0].search, tries[-1].search
    times = f"{small.epochs:.3g} epochs at {tries[0].x:g}, {large.epochs:.3g} at {tries[-1].x:g}"
    if not (small.met and large.met):
        return Judgement(ClaimState.UNTESTED, f"a budget was not met ({times})")
    better = Comparison("error of the smallest", tries[0].errors, tries[-1].errors, higher=False)
    if not better.complete:
        return Judgement(ClaimState.UNTESTED, f"{times}; a student is missing")
    evidence = f"{times}; its student is better by {with_spread(*better.lead())}"
    evidence += decided([better.lead()[1]])
    if small.epochs <= large.epochs:
        return Judgement(ClaimState.FAILS, evidence)
    return Judgement(better.state(), evidence)


def lead_grows(here: Comparison, there: Comparison) -> Judgement:
    """Whether one comparison's lead is larger than another's, by more than chance.

    Args:
        here: complete, its lead claimed to be the larger.
        there: complete, of four cells that are all different.
    """
    signed = [(here, 1.0), (there, -1.0)]
    parts = [
        (sign * side * (1.0 if one.higher else -1.0), estimate(values))
        for one, sign in signed
        for side, values in ((1.0, one.first), (-1.0, one.second))
    ]
    growth, half = contrast(parts)
    evidence = "; ".join(f"{one.name}: {with_spread(*one.lead())}" for one, _ in signed)
    evidence += f"; growth {with_spread(growth, half)}{decided([half])}"
    unfair = here.unfair or there.unfair
    if unfair or half is None or abs(growth) <= half:
        return Judgement(ClaimState.UNTESTED, evidence + (f"; {unfair}" if unfair else ""))
    return Judgement(ClaimState.HOLDS if growth > 0 else ClaimState.FAILS, evidence)


def error_rises(correlation: Correlation | None, p: float) -> Judgement:
    """Whether a correlation is above 0, and as large by chance with probability `p` at most."""
    if correlation is None:
        return Judgement(ClaimState.UNTESTED, "the correlation is not defined yet")
    r, n = correlation.r, correlation.n
    evidence = f"correlation {r:.3f} of {n} points (p = {correlation.p:.2g}); "
    evidence += f"smallest that so many points decide: {least_correlation(n, p):.3f}"
    if correlation.p > p:
        return Judgement(ClaimState.UNTESTED, evidence)
    return Judgement(ClaimState.HOLDS if r > 0 else ClaimState.FAILS, evidence)


def _mean(state: ClaimState, means: Sequence[MeanLead]) -> Judgement | None:
    return Judgement(state, means_in_words(means)) if means else None


def _widest(errors: Mapping[RunKey, Sequence[float]]) -> tuple[float, float | None, str]:
    """The largest difference of a group, half its interval, and between which two."""
    order = sorted(errors, key=lambda run: fmean(errors[run]))
    best, worst = order[0], order[-1]
    gap, half = welch(errors[worst], errors[best], tries=comb(len(order), 2))
    return gap, half, f"{best} to {worst}"


def _side(up: bool) -> str:
    return "from" if up else "up to"
