"""Parts of the sentences that give the evidence of a claim."""

from collections.abc import Sequence

from kdbench.report.judgement.comparisons import Comparison
from kdbench.report.judgement.means import MeanLead

SHOWN = 3  # mean leads that are all listed; of more the smallest


def with_spread(lead: float, half: float | None) -> str:
    """A lead and half its interval."""
    spread = "no spread known" if half is None else f"±{half:.2f}"
    return f"{lead:+.2f} ({spread})"


def decided(halves: Sequence[float | None]) -> str:
    """The smallest lead that the seeds at hand decide: half of its interval, by comparison."""
    known = sorted(half for half in halves if half is not None)
    if not known:
        return "; these runs decide no lead, however large, because they have no spread"
    low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
    values = low if low == high else f"{low} to {high}, by comparison"
    without = len(halves) - len(known)
    return f"; smallest lead that these seeds decide: {values}" + (
        f" ({without} without a spread)" if without else ""
    )


def room(halves: Sequence[float | None], within: float) -> str:
    """Which differences could be shown to lie within a margin, and which outside of it."""
    known = [half for half in halves if half is not None]
    if not known:
        return decided(halves)
    widest = max(known)
    near = (
        f"can show differences up to {within - widest:.2f} to be within the margin"
        if widest <= within
        else "can show no difference, not even 0, to be within the margin"
    )
    return f"; these seeds {near}, and those from {within + widest:.2f} on to be outside"


def spelt_out(
    comparisons: Sequence[Comparison], settled: int, tries: int = 1, against: int = 1
) -> str:
    """What is left undecided, the smallest lead, what could be decided, what the paper prints.

    Args:
        comparisons: all of a claim, at least one of them complete.
        settled: how many are decided.
        tries: as in `welch`, of the interval by which a lead counts.
        against: the same for a lead below 0.
    """
    complete = [one for one in comparisons if one.complete]
    undecided, missing = len(complete) - settled, len(comparisons) - len(complete)
    halves = [one.lead(tries)[1] for one in complete]
    worst = min(complete, key=lambda one: one.lead()[0])
    shown = worst.lead(against) if worst.lead()[0] < 0 else worst.lead(tries)
    text = f", {undecided} undecided by these seeds" if undecided else ""
    text += f", {missing} without runs" if missing else ""
    text += f"; smallest lead: {worst.name}, {with_spread(*shown)}"
    text += decided(halves) + _printed(comparisons)
    reasons = dict.fromkeys(one.unfair for one in complete if one.unfair)
    return text + "".join(f"; {reason}" for reason in reasons)


def means_in_words(means: Sequence[MeanLead]) -> str:
    """The mean leads, or the smallest of many, and what could be decided."""
    smallest = min(means, key=lambda one: one.lead)
    shown = means if len(means) <= SHOWN else [smallest]
    text = "; ".join(
        f"{mean.group + ': ' if mean.group else ''}{with_spread(mean.lead, mean.half)} "
        f"over {mean.count}"
        for mean in shown
    )
    text = text if len(means) <= SHOWN else f"smallest of {len(means)}: {text}"
    return text + decided([mean.half for mean in means])


def _printed(comparisons: Sequence[Comparison]) -> str:
    known = sorted(one.printed for one in comparisons if one.printed is not None)
    if not known:
        return ""
    leads = f"{known[0]:+.2f}" if len(known) == 1 else f"{known[0]:+.2f} to {known[-1]:+.2f}"
    return f"; printed: {leads} ({len(known)})"
