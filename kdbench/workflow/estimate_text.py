"""An estimate in words and tables."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from kdbench.workflow.estimate import HOUR, Cost, Estimate

HEADERS = [
    "exhibit",
    "runs to do",
    "training steps",
    "multiply-adds",
    "device hours",
    "of that timed",
    "wall hours",
    "kWh",
    "memory of a run",
    "disk",
]
UNITS = ("", " k", " M", " G", " T", " P", " E")
UNKNOWN = "not known"


def si(number: float, unit: str = "") -> str:
    """A number with three digits and its prefix.

    >>> si(1234567), si(25_000_000, "B")
    ('1.23 M', '25.0 MB')
    """
    place = 0
    while abs(number) >= 999.5 and place < len(UNITS) - 1:
        number /= 1000
        place += 1
    digits = f"{number:.0f}" if not place or abs(number) >= 99.95 else f"{number:.3g}"
    if place and abs(number) < 99.95:
        digits = f"{number:.2f}" if abs(number) < 9.995 else f"{number:.1f}"
    return digits + (UNITS[place] or (" " if unit else "")) + unit


def table(estimate: Estimate, form: str = "simple") -> str:
    """A row per exhibit, and the total.

    Args:
        estimate: see there.
        form: a format of tabulate's.
    """
    costs = [*estimate.rows, *([estimate.total] if len(estimate.rows) > 1 else [])]
    align = ["left"] + ["right"] * (len(HEADERS) - 1)
    rows = [_row(cost) for cost in costs]
    return tabulate(rows, HEADERS, form, disable_numparse=True, colalign=align)


def _row(cost: Cost) -> list[str]:
    whole = cost.device_seconds
    share = f"{cost.timed_seconds / whole:.0%}" if whole else "-"
    return [
        cost.name,
        f"{cost.left} of {cost.runs}",
        f"{cost.steps:,}",
        si(cost.macs),
        _hours(whole),
        share,
        _hours(cost.wall_seconds),
        UNKNOWN if cost.joules is None else _digits(cost.joules / HOUR / 1000),
        "-" if cost.memory is None else si(cost.memory, "B"),
        si(cost.disk, "B"),
    ]


def _hours(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else _digits(seconds / HOUR)


def _digits(number: float) -> str:
    """Three digits: 1,234 or 12.3 or 0.0123."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def kinds_table(estimate: Estimate, form: str = "simple") -> str:
    """A row per kind of work: how long one step takes, and how that is known."""
    units = sorted(estimate.measured.units, key=lambda unit: -(unit.seconds or 0) * unit.count)
    rows = [
        [
            unit.name,
            f"{unit.count:,}",
            si(unit.macs),
            UNKNOWN if unit.seconds is None else f"{1000 * unit.seconds:.4g}",
            "timed" if unit.timed else "scaled",
        ]
        for unit in units
    ]
    headers = ["kind of work", "steps or images", "multiply-adds of one", "ms", "how known"]
    align = ["left", "right", "right", "right", "left"]
    return tabulate(rows, headers, form, disable_numparse=True, colalign=align)


def notes(estimate: Estimate) -> Iterator[str]:
    """What the figures rest on, a sentence each."""
    yield from estimate.notes
    units = estimate.measured.units
    timed = sum(unit.timed for unit in units)
    if timed:
        yield (
            f"{timed} of {len(units)} kinds of work were timed (steps on random images, forward "
            "passes); the others are scaled by their multiply-adds at the throughput of timed "
            "ones of the same networks (--kinds lists all, --minutes times more)."
        )
    machine = estimate.machine
    place = "core" if machine.device == "cpu" else "GPU"
    places = f"{machine.places} {place}{'s' if machine.places > 1 else ''}"
    yield (
        f"Wall hours: {places}, each run beginning when its inputs and its {place} are there; runs "
        "were timed one at a time, and those that share memory are slower."
    )
    if machine.watts is None:
        yield "Energy: no power is known; give it with --watts."
    else:
        yield (
            f"Energy is an estimate: device hours at {machine.watts:g} W per {place}, "
            f"{machine.watts_from}."
        )
    yield (
        "A run that several exhibits share counts in each of them and once in the total. Steps and "
        "multiply-adds are those that the records will say, but a search that ends early counts "
        "whole, and a student that a search will prune counts as its whole network: at most."
    )
    yield (
        "Left out: preparing data, decoding images that stay encoded, and what a run that was "
        "begun has done. Memory is the largest of those that were timed."
    )


def as_json(estimate: Estimate) -> dict[str, Any]:
    """The estimate as JSON values; seconds, joules and bytes."""
    fields = ("name", "macs", "count", "seconds", "timed", "memory")
    return {
        "exhibits": [asdict(cost) for cost in estimate.rows],
        "total": asdict(estimate.total),
        "machine": asdict(estimate.machine),
        "kinds": [{f: getattr(unit, f) for f in fields} for unit in estimate.measured.units],
        "notes": list(notes(estimate)),
    }
