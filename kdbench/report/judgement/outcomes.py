"""Whether numbers bear a claim out. Pure functions; each can answer "not testable yet"."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.exhibits.claims import Thresholds
from kdbench.report.judgement.comparisons import ClaimState, Comparison
from kdbench.report.readings.statistics import Correlation
from kdbench.report.readings.sweep import Try


@dataclass(frozen=True)
class Judgement:
    """State of a claim, and why, in a sentence without its full stop."""

    state: ClaimState
    evidence: str


NO_RUN = Judgement(ClaimState.UNTESTED, "no run of it is finished")


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
    undecided, missing = len(complete) - clear - against, len(comparisons) - len(complete)
    worst = min(complete, key=lambda one: one.lead()[0])
    reasons = dict.fromkeys(one.unfair for one in complete if one.unfair)
    evidence = f"{clear} of {len(comparisons)} comparisons are clearly so, {against} clearly not"
    evidence += f", {undecided} undecided by these seeds" if undecided else ""
    evidence += f", {missing} without runs" if missing else ""
    evidence += f"; smallest lead: {worst.name}, {_with_spread(*worst.lead())}"
    evidence += "".join(f"; {reason}" for reason in reasons)
    if against:
        return Judgement(ClaimState.FAILS, evidence)
    all_clear = clear == len(comparisons)
    return Judgement(ClaimState.HOLDS if all_clear else ClaimState.UNTESTED, evidence)


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
    evidence += f", {sum(far)} outside; largest: {worst.name}, {_with_spread(*worst.lead())}"
    if any(far):
        return Judgement(ClaimState.FAILS, evidence)
    done = all(near) and len(complete) == len(comparisons)
    return Judgement(ClaimState.HOLDS if done else ClaimState.UNTESTED, evidence)


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
    evidence = f"{times}; its student is better by {_with_spread(*better.lead())}"
    if small.epochs <= large.epochs:
        return Judgement(ClaimState.FAILS, evidence)
    return Judgement(better.state(), evidence)


def error_rises(correlation: Correlation | None, p: float) -> Judgement:
    """Whether a correlation is above 0, and as large by chance with probability `p` at most."""
    if correlation is None:
        return Judgement(ClaimState.UNTESTED, "the correlation is not defined yet")
    r, n = correlation.r, correlation.n
    evidence = f"correlation {r:.3f} of {n} points (p = {correlation.p:.2g})"
    if correlation.p > p:
        return Judgement(ClaimState.UNTESTED, evidence)
    return Judgement(ClaimState.HOLDS if r > 0 else ClaimState.FAILS, evidence)


def _side(up: bool) -> str:
    return "from" if up else "up to"


def _with_spread(lead: float, half: float | None) -> str:
    spread = "no spread known" if half is None else f"±{half:.2f}"
    return f"{lead:+.2f} ({spread})"
