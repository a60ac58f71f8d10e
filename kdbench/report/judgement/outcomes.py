"""Whether numbers bear a claim out. Pure functions; each can say "not yet"."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from kdbench.exhibits.claims import Lines
from kdbench.report.readings.statistics import Correlation, welch
from kdbench.report.readings.sweep import Try


class State(Enum):
    """Where a claim stands; the values are what reports print."""

    HOLDS = "holds"
    FAILS = "does not"
    UNTESTED = "not testable yet"


@dataclass(frozen=True)
class Outcome:
    """State of a claim, and why, in a sentence without its full stop."""

    state: State
    evidence: str


NO_RUN = Outcome(State.UNTESTED, "no run of it is finished")


@dataclass(frozen=True)
class Comparison:
    """One "a is better than b".

    Attributes:
        name: for readers.
        first, second: a's and b's values, one a seed; none where runs are missing.
        higher: whether higher values are better.
        unfair: why the two may not be compared; "" where they may.
    """

    name: str
    first: Sequence[float]
    second: Sequence[float]
    higher: bool = True
    unfair: str = ""

    @property
    def there(self) -> bool:
        """Whether both sides have values."""
        return bool(self.first and self.second)

    def lead(self, tries: int = 1) -> tuple[float, float | None]:
        """By how much a is better, and half the 95 % interval of that; see `welch`."""
        gap, half = welch(self.first, self.second, tries)
        return (gap if self.higher else -gap), half

    def state(self, tries: int = 1) -> State:
        """Clearly so, clearly not, or within the seeds' spread; `tries` as in `welch`."""
        lead, half = self.lead(tries)
        if self.unfair or half is None or abs(lead) <= half:
            return State.UNTESTED
        return State.HOLDS if lead > 0 else State.FAILS


def every_better(comparisons: Sequence[Comparison]) -> Outcome:
    """Whether all comparisons come out; one clear failure is enough to say no.

    That all are so at once is no easier for being many. That one of many fails is: it counts where
    it stands out among so many tries.
    """
    there = [one for one in comparisons if one.there]
    if not there:
        return NO_RUN
    clear = sum(one.state() is State.HOLDS for one in there)
    against = sum(one.state(tries=len(there)) is State.FAILS for one in there)
    missing = len(comparisons) - len(there)
    worst = min(there, key=lambda one: one.lead()[0])
    told = f"{clear} of {len(comparisons)} comparisons are clearly so, {against} clearly not"
    open_ones = len(there) - clear - against
    told += f", {open_ones} undecided by these seeds" if open_ones else ""
    told += f", {missing} without runs" if missing else ""
    told += f"; smallest lead: {worst.name}, {_shown(*worst.lead())}"
    told += "".join(f"; {why}" for why in dict.fromkeys(one.unfair for one in there if one.unfair))
    if against:
        return Outcome(State.FAILS, told)
    return Outcome(State.HOLDS if clear == len(comparisons) else State.UNTESTED, told)


def every_near(comparisons: Sequence[Comparison], within: float) -> Outcome:
    """Whether the 95 % interval of every difference lies within ±`within`; wholly outside: no.

    For what is outside see `every_better`.
    """
    there = [one for one in comparisons if one.there]
    if not there:
        return NO_RUN
    leads = [one.lead() for one in there]
    wide = [one.lead(tries=len(there)) for one in there]
    far = [abs(gap) - half > within for gap, half in wide if half is not None]
    near = [half is not None and abs(gap) + half <= within for gap, half in leads]
    worst = max(there, key=lambda one: abs(one.lead()[0]))
    told = (
        f"{sum(near)} of {len(comparisons)} differences lie within ±{within:g}, {sum(far)} outside"
    )
    told += f"; largest: {worst.name}, {_shown(*worst.lead())}"
    if any(far):
        return Outcome(State.FAILS, told)
    done = all(near) and len(there) == len(comparisons)
    return Outcome(State.HOLDS if done else State.UNTESTED, told)


def beyond(value: float, lines: Lines, what: str) -> Outcome:
    """Whether a value lies beyond one of two lines."""
    up = lines.holds > lines.fails
    told = f"{what}: {value:.3g} (our lines: it holds {_side(up)} {lines.holds:g}, "
    told += f"does not {_side(not up)} {lines.fails:g})"
    if value >= lines.holds if up else value <= lines.holds:
        return Outcome(State.HOLDS, told)
    if value <= lines.fails if up else value >= lines.fails:
        return Outcome(State.FAILS, told)
    return Outcome(State.UNTESTED, told)


def smallest_best(tries: Sequence[Try]) -> Outcome:
    """Whether the smallest value takes longer and finds better than the largest.

    Args:
        tries: by rising value.
    """
    if len(tries) < 2 or not (tries[0].search and tries[-1].search):
        return NO_RUN
    small, large = tries[0].search, tries[-1].search
    times = f"{small.epochs:.3g} epochs at {tries[0].x:g}, {large.epochs:.3g} at {tries[-1].x:g}"
    if not (small.met and large.met):
        return Outcome(State.UNTESTED, f"a budget was not met ({times})")
    better = Comparison("error of the smallest", tries[0].errors, tries[-1].errors, higher=False)
    if not better.there:
        return Outcome(State.UNTESTED, f"{times}; a student is missing")
    told = f"{times}; its student is better by {_shown(*better.lead())}"
    if small.epochs <= large.epochs:
        return Outcome(State.FAILS, told)
    return Outcome(better.state(), told)


def error_rises(found: Correlation | None, p: float) -> Outcome:
    """Whether a correlation is above 0 by more than chance."""
    if found is None:
        return Outcome(State.UNTESTED, "the correlation is not defined yet")
    told = f"correlation {found.r:.3f} of {found.n} points (p = {found.p:.2g})"
    if found.p > p:
        return Outcome(State.UNTESTED, told)
    return Outcome(State.HOLDS if found.r > 0 else State.FAILS, told)


def _side(up: bool) -> str:
    return "from" if up else "up to"


def _shown(lead: float, half: float | None) -> str:
    spread = "no spread known" if half is None else f"±{half:.2f}"
    return f"{lead:+.2f} ({spread})"
