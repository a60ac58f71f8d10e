"""Searches that differ in one parameter, and the students that they found."""

from dataclasses import dataclass

from kdbench.errors import BadValue
from kdbench.exhibits.tables import TEST_ERROR
from kdbench.report.readings.cells import reported
from kdbench.report.readings.records import FinishedRuns, Record
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.store.student_runs import SearchRun, structure_of


@dataclass(frozen=True)
class Budget:
    """How a search for a smaller network ended.

    Attributes:
        met: whether its budget was met.
        epochs: what it needed for that, or all that it had.
        part: share of the planned steps after which it was met; None where it was not.
        flops: millions of operations left, elements of norms and ReLUs among them.
        largest_kl: largest divergence from the teacher met on an image.
        kl0: divergence that was aimed at, in the same unit; 0 for other losses.
    """

    met: bool
    epochs: float
    part: float | None
    flops: float
    largest_kl: float
    kl0: float


@dataclass(frozen=True)
class Try:
    """One value of the parameter.

    Attributes:
        x: the parameter's value.
        search: None where the search is not finished.
        errors: test errors in percent of the student, one per seed; none where it is not finished.
    """

    x: float
    search: Budget | None
    errors: list[float]

    @property
    def error(self) -> Estimate | None:
        """Over the seeds."""
        return estimate(self.errors) if self.errors else None


def read_sweep(runs: FinishedRuns, x: str) -> list[Try]:
    """The tries of a figure that requests searches and the students that they pruned, by x.

    Args:
        runs: finished ones, by the figure's keys.
        x: the search's parameter that differs.

    Raises:
        BadValue: a run is neither, or the search has no such parameter.
        DamagedData: a record lacks something.
    """
    searches: dict[float, Record] = {}
    students: dict[float, Record] = {}
    for key, (spec, record) in runs.items():
        search = spec if isinstance(spec, SearchRun) else structure_of(spec)
        if search is None:
            expected = "a search, or students that one pruned"
            raise BadValue("requests of a sweep", str(key), expected)
        parameters = search.search.parameters
        if x not in parameters:
            raise BadValue("option x of a sweep", x, f"one of {', '.join(sorted(parameters))}")
        (searches if search is spec else students)[float(parameters[x])] = record
    values = sorted({*searches, *students})
    return [_read_try(value, searches.get(value), students.get(value)) for value in values]


def read_budget(record: Record) -> Budget:
    """How a search for a smaller network ended, from its record.

    Raises:
        DamagedData: the record lacks something.
    """
    met = record.at("structure", "met") is True
    epoch, steps = record.number("structure", "epoch"), record.number("structure", "steps")
    if steps <= 0:
        raise record.damaged(("structure", "steps"), repr(steps), "a number above 0")
    at = record.number("structure", "met_at") if met else steps
    flops = record.number("structure", "after", "flops_with_elements") / 1e6
    part = at / record.number("structure", "planned_steps") if met else None
    largest, kl0 = (record.number("structure", key) for key in ("largest_kl", "kl0"))
    return Budget(met, at * epoch / steps, part, flops, largest, kl0)


def _read_try(value: float, search: Record | None, student: Record | None) -> Try:
    budget = read_budget(search) if search else None
    return Try(value, budget, reported(student, TEST_ERROR) if student else [])
