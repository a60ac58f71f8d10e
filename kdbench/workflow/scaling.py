"""How well runs of several ranks use their devices: as stated, as records measured, or declared."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from kdbench.store.paths import Paths
from kdbench.store.record import read_record
from kdbench.store.spec import RunSpec
from kdbench.store.teacher_runs import EFFICIENCY, ranks_of
from kdbench.workflow.estimate import Machine


def with_efficiency(
    machine: Machine, runs: Iterable[RunSpec], paths: Paths, stated: float | None
) -> tuple[Machine, list[str]]:
    """A machine with the efficiency of runs of several ranks, and a line about where that is from.

    Args:
        machine: as it is without.
        runs: of the plan; where none has several ranks nothing is said.
        paths: of the project.
        stated: what the user says; None takes the mean of the finished runs' records.
    """
    several = [run for run in runs if ranks_of(run) > 1]
    if not several:
        return machine, []
    measured = [one for run in several if (one := _measured(run, paths)) is not None]
    if stated is not None:
        value, origin = stated, "as --efficiency says"
    elif measured:
        value, origin = fmean(measured), f"the mean of {len(measured)} records"
    else:
        value, origin = EFFICIENCY, "a declared default, which --efficiency replaces"
    line = f"Runs of several ranks use {100 * value:.0f} % of their devices ({origin})."
    return replace(machine, efficiency=value), [line]


def _measured(run: RunSpec, paths: Paths) -> float | None:
    """The share of the time that the first rank of a finished run computed."""
    file = paths.record(run)
    return read_record(file)["cost"].get("scaling_efficiency") if file.is_file() else None
