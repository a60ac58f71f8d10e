"""The fewest epochs with which one method reaches another's accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import BadValue
from kdbench.exhibits.keys import BudgetKey, RunKey
from kdbench.exhibits.published import Published
from kdbench.exhibits.tables import TOP1, Summary
from kdbench.papers import published_numbers
from kdbench.report.presentation import Presentation, TextTable, number, optional
from kdbench.report.readings.cells import reported
from kdbench.report.readings.records import CellState, FinishedRuns, Record, Records
from kdbench.report.readings.statistics import Estimate, estimate
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, StudentRun

if TYPE_CHECKING:
    import pandas as pd

NOT_REACHED = "not reached"
NOTE = (
    "Reached: the mean over seeds is at most {tolerance:g} points below the reference's. Epochs "
    "are those of this scale; between two budgets nothing is interpolated."
)


@dataclass(frozen=True)
class Trained:
    """Students of one method, trained for so many epochs at this scale."""

    method: str
    epochs: int
    accuracy: Estimate


@dataclass(frozen=True)
class Race:
    """One method's runs against another's accuracy.

    Attributes:
        network: the student, as printed.
        reference: whose accuracy is to be reached; None while it is not finished.
        fewest: the run of fewest epochs that reaches it; None where none does.
        finished: runs of the method that are finished.
        published: the printed numbers of the reference and of the method, where there are any,
            each with its setting, which names the epochs.
    """

    network: str
    reference: Trained | None
    fewest: Trained | None
    finished: int
    published: tuple[tuple[str, Published] | None, tuple[str, Published] | None]


def render(summary: Summary, runs: FinishedRuns, records: Records) -> Presentation:
    """One line per race of the option `races`.

    Raises:
        BadValue: a run is no evaluation of students at a budget.
    """
    races = read_races(summary, runs)
    note = NOTE.format(tolerance=_tolerance(summary))
    return Presentation(numbers=frame(races), table=table(races), notes=(note, *summary.notes))


def read_races(summary: Summary, runs: FinishedRuns) -> list[Race]:
    """The races that the option `races` names: network, reference, candidates, printed numbers."""
    trained = {key: _trained(key, spec, record) for key, (spec, record) in runs.items()}
    numbers = published_numbers(str(summary.option("published")))
    declared: Any = summary.option("races", ())
    return [
        _race(network, trained.get(reference), _those(trained, candidates), tolerance, printed)
        for tolerance in (_tolerance(summary),)
        for network, reference, candidates, *cells in declared
        for printed in (tuple((c[1], numbers[c]) if c in numbers else None for c in cells),)
    ]


def _race(
    network: str,
    reference: Trained | None,
    candidates: Sequence[Trained],
    tolerance: float,
    published: Any,
) -> Race:
    reached = [
        one
        for one in candidates
        if reference and one.accuracy.mean >= reference.accuracy.mean - tolerance
    ]
    fewest = min(reached, key=lambda one: one.epochs, default=None)
    return Race(network, reference, fewest, len(candidates), published)


def table(races: Sequence[Race]) -> TextTable:
    """One line per race: ours, then the paper's."""
    heads = ["student", "reference", "its epochs", "its top-1 (%)", "DistPro's fewest epochs"]
    heads += ["its top-1 (%)", "share of the epochs", "published"]
    return TextTable(heads, [_line(race) for race in races])


def frame(races: Sequence[Race]) -> "pd.DataFrame":
    """One line per race, with all digits."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "network": race.network,
                "reference": race.reference and race.reference.method,
                "reference_epochs": race.reference and race.reference.epochs,
                "reference_top1": race.reference and race.reference.accuracy.mean,
                "epochs": race.fewest and race.fewest.epochs,
                "top1": race.fewest and race.fewest.accuracy.mean,
                "share": _share(race),
            }
            for race in races
        ]
    )


def _line(race: Race) -> list[str]:
    reference, fewest = race.reference, race.fewest
    waiting = CellState.NOT_RUN.value
    reached = waiting if reference is None or not race.finished else NOT_REACHED
    return [
        race.network,
        reference.method if reference else waiting,
        str(reference.epochs) if reference else "",
        number(reference.accuracy, CellState.DONE) if reference else "",
        str(fewest.epochs) if fewest else reached,
        number(fewest.accuracy, CellState.DONE) if fewest else "",
        optional(_share(race), ".2f"),
        "; ".join(
            f"{setting.rpartition(', ')[2]}: {printed.value:.2f}"
            for setting, printed in filter(None, race.published)
        ),
    ]


def _share(race: Race) -> float | None:
    """Epochs of the method in those of the reference."""
    if race.reference is None or race.fewest is None:
        return None
    return race.fewest.epochs / race.reference.epochs


def _those(trained: Mapping[RunKey, Trained], keys: Sequence[RunKey]) -> list[Trained]:
    return [trained[key] for key in keys if key in trained]


def _trained(key: RunKey, spec: RunSpec, record: Record) -> Trained:
    student = spec.first if isinstance(spec, EvaluationRun) else None
    if not isinstance(student, StudentRun) or not isinstance(key, BudgetKey):
        raise BadValue("requests of epochs", str(key), "students of a method at a budget")
    return Trained(key.method, student.recipe.epochs, estimate(reported(record, TOP1)))


def _tolerance(summary: Summary) -> float:
    tolerance: Any = summary.option("tolerance", 0.0)
    return float(tolerance)
