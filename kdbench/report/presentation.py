"""What an exhibit shows, as numbers and ready texts, before any kind of page is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.exhibits.published import Published
from kdbench.report.readings.cells import Result
from kdbench.report.readings.records import CellState
from kdbench.report.readings.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PAPER = "paper"  # the usual source of a published number
DAGGERS = ("†", "§", "‖")
"""Marks of published numbers whose source is not the paper; doubled where these do not suffice."""
PAPERS = {
    "dfa": "DFA",
    "distpro": "DistPro",
    "sbs": "SBS",
    "crd": "CRD",
    "ours": "Our studies",
    "own": "Your tables",
}
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class TextTable:
    """A table of ready texts: one head per column, one list of cells per line."""

    heads: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Presentation:
    """What the renderer of a figure or summary makes of the finished runs.

    Attributes:
        numbers: everything that is shown, with all digits.
        table: the same for readers.
        draw: makes the figure for matplotlib; None for a summary.
        lead: the result in one sentence, printed before the table; "" for none.
        notes: paragraphs after the table.
    """

    numbers: "pd.DataFrame"
    table: TextTable
    draw: "Callable[[], Figure] | None" = None
    lead: str = ""
    notes: tuple[str, ...] = ()


def paper_label(name: str) -> str:
    """A paper's printed name by the first part of its exhibits' ids."""
    return PAPERS.get(name, name)


def number(estimate: Estimate | None, state: CellState) -> str:
    """Our number, `76.31 ± 0.12 (5)`, or why there is none."""
    if estimate is None:
        return state.value
    spread = "" if estimate.std is None else f" {PLUS_MINUS} {estimate.std:.2f}"
    return f"{estimate.mean:.2f}{spread} ({estimate.n})"


def source_marks(numbers: Iterable[Published | None]) -> dict[str, str]:
    """A mark per source that is not the paper, in the order of a table's cells.

    >>> source_marks([None, Published(70.0, None, "a summary"), Published(71.0, None, "a mail")])
    {'a summary': '†', 'a mail': '§'}
    """
    sources = dict.fromkeys(one.source for one in numbers if one and one.source != PAPER)
    repeats = (divmod(place, len(DAGGERS)) for place in range(len(sources)))
    return {
        s: DAGGERS[mark] * (1 + times) for s, (times, mark) in zip(sources, repeats, strict=True)
    }


def printed(result: Result, marks: Mapping[str, str]) -> str:
    """The published number, `76.36 ± 0.07 (5)`, with the mark of its source (`source_marks`)."""
    if result.published is None:
        return "not known"
    value, spread, runs = result.published.value, result.published.spread, result.published.runs
    text = f"{value:.2f}" if spread is None else f"{value:.2f} {PLUS_MINUS} {spread:.2f}"
    text += f" ({runs})" if runs else ""
    mark = marks.get(result.published.source, "")
    return f"{text} {mark}" if mark else text


def verdict(result: Result) -> str:
    """`undecided (−0.74 ± 1.43; from 1.93)`: the gap, and the smallest that would count; or ""."""
    if result.verdict is None:
        return ""
    gap = result.against
    if gap is None:
        return result.verdict.value
    shown = f"{MINUS if gap.value < 0 else '+'}{abs(gap.value):.2f}"
    if gap.half is not None and gap.differs_from is not None:
        shown += f" {PLUS_MINUS} {gap.half:.2f}; from {gap.differs_from:.2f}"
    return f"{result.verdict.value} ({shown})"


def optional(value: float | None, form: str, unit: float = 1.0) -> str:
    """A number in units of `unit`, by a format specification; "" where there is none."""
    return "" if value is None else format(value / unit, form)


def csv_bytes(frame: "pd.DataFrame") -> bytes:
    """A frame as CSV; numbers keep all their digits."""
    return frame.to_csv(index=False, lineterminator="\n").encode()
