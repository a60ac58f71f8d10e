"""Numbers and states as a page prints them, and the templates' environment."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from kdbench.report.presentation import MINUS, PLUS_MINUS, paper_label
from kdbench.report.readings.lines import Line, Measured
from kdbench.report.readings.records import CellState
from kdbench.report.readings.statistics import Estimate
from kdbench.report.readings.verdict import Gap, Verdict

MEASURED = "measured"
STANDINGS = {
    Verdict.REPRODUCED.value: "our interval lies within the tolerance around the published number",
    Verdict.HIGHER.value: "our value is higher, by more than tolerance and interval",
    Verdict.LOWER.value: "our value is lower, by more than tolerance and interval",
    Verdict.UNDECIDED.value: "more seeds are needed",
    MEASURED: "measured, but nothing published is comparable with it",
    CellState.DIVERGED.value: "a loss or an evaluation was not finite",
    CellState.ALTERED.value: "the record was changed after its run and is not used",
    CellState.TRAINED.value: "all its trainings are done; the run that measures them is not",
    CellState.NOT_RUN.value: "planned; its record is not there",
}
"""Where a cell of the report stands, with what that means, in the order of a bar."""


def standing(line: Line) -> str:
    """One of `STANDINGS`; "" for cells that are not built or left out."""
    if line.state is CellState.DONE:
        compared = line.result.verdict not in (None, Verdict.NOT_COMPARABLE)
        return line.result.verdict.value if compared and line.result.verdict else MEASURED
    return line.state.value if line.state.value in STANDINGS else ""


def css(text: str) -> str:
    """A state as the end of a class's name: letters and hyphens alone.

    >>> css("not run yet")
    'not-run-yet'
    """
    return re.sub(r"[^a-z]+", "-", text.lower()).strip("-")


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with so many digits; "" for none."""
    return "" if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """A difference, always with its sign; "" for none."""
    return "" if value is None else f"{value:+.{digits}f}".replace("-", MINUS)


def interval(estimate: Estimate) -> str:
    """The mean and half its 95 % interval; the mean alone of one run."""
    half = "" if estimate.half is None else f" {PLUS_MINUS} {estimate.half:.2f}"
    return f"{estimate.mean:.2f}{half}"


def gap(against: Gap | None) -> str:
    """A difference with half its interval, `−0.74 ± 1.43`; "" for none."""
    if against is None:
        return ""
    half = "" if against.half is None else f" {PLUS_MINUS} {against.half:.2f}"
    return f"{signed(against.value)}{half}"


def duration(seconds: float | None) -> str:
    """Seconds in the unit that fits; "" for none.

    >>> duration(5400.0), duration(90.0), duration(2.0)
    ('1.5 h', '1.5 min', '2.0 s')
    """
    if seconds is None:
        return ""
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


def by_rule(line: Line) -> dict[str, Measured | None]:
    """What the switch of epochs shows: the protocol's own rule first, then each rule."""
    rules = {rule: line.measured.get(rule) for rule in ("best", "last", "selected")}
    return {"reported": line.now, **rules}


def orders(line: Line) -> str:
    """The means by epoch rule, for sorting: `reported|best|last|selected`."""
    return "|".join("" if m is None else f"{m.estimate.mean:.6f}" for m in by_rule(line).values())


def between(names: Sequence[str], group: Sequence[str], name: str) -> bool:
    """Whether a name lies between the first and the last of a group.

    >>> between(["a", "b", "c"], ["a", "c"], "b"), between(["a", "b", "c"], ["a", "b"], "c")
    (True, False)
    """
    return names.index(group[0]) < names.index(name) < names.index(group[-1])


def listed(names: Iterable[str]) -> str:
    """Names once each, with commas between them."""
    return ", ".join(dict.fromkeys(names))


def ticked(text: str) -> Markup:
    """A sentence as HTML; text in backticks becomes code.

    >>> str(ticked("`a: 1` < b"))
    '<code>a: 1</code> &lt; b'
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def environment() -> Environment:
    """Templates that escape everything that a record says."""
    made = Environment(
        loader=PackageLoader("kdbench.report.site", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "css": css,
        "fixed": fixed,
        "signed": signed,
        "interval": interval,
        "gap": gap,
        "duration": duration,
        "orders": orders,
        "standing": standing,
        "paper": paper_label,
        "by_rule": by_rule,
        "listed": listed,
        "ticked": ticked,
        "between": between,
    }
    made.filters.update(filters)
    return made
