"""Reads the records that a plan asks for. Never looks around: the plan's paths say where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any

from kdbench.errors import BadValue, DamagedData
from kdbench.exhibits.keys import RunKey
from kdbench.plan.graph import Cell
from kdbench.plan.params import FILE, Params, changed_keys
from kdbench.store.paths import Paths
from kdbench.store.prepared import stale
from kdbench.store.record import MEND, Seal, read_record, seal_of
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, structure_of

ADVICE = "delete the file and run again"


class CellState(Enum):
    """Where a number stands; the values are what reports print."""

    DONE = "done"
    NOT_RUN = "not run yet"
    TRAINED = "trained, not evaluated"
    DIVERGED = "diverged"
    NOT_BUILT = "not built yet"
    LEFT_OUT = "left out"
    NO_CELL = "no such cell"
    ALTERED = "record altered"


@dataclass(frozen=True)
class Record:
    """One record and where it lies; every look into it names the file if it is damaged."""

    path: Path
    content: Mapping[str, Any]

    def at(self, *keys: str | int) -> Any:
        """The value under nested keys.

        Raises:
            DamagedData: there is none.
        """
        value: Any = self.content
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise self.damaged(keys, "nothing", "a value") from None
        return value

    def number(self, *keys: str | int) -> float:
        """The finite number under nested keys.

        Raises:
            DamagedData: it is missing, not a number, or not finite.
        """
        value = self.at(*keys)
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self.damaged(keys, repr(value), "a finite number")
        return float(value)

    def items(self, *keys: str | int) -> list[Any]:
        """The list under nested keys, with at least one item.

        Raises:
            DamagedData: it is missing, not a list, or empty.
        """
        value = self.at(*keys)
        if not isinstance(value, list) or not value:
            raise self.damaged(keys, repr(value), "a list with items")
        return value

    def damaged(self, keys: Iterable[str | int], found: str, expected: str) -> DamagedData:
        """The error that names this file and the place in it."""
        place = ".".join(str(key) for key in keys)
        return DamagedData(f"{self.path}, {place}", found, expected, ADVICE)


FinishedRuns = Mapping[RunKey, tuple[RunSpec, Record]]
"""Runs of one figure or summary with their records, by its keys."""


@dataclass
class Records:
    """The records of one project folder, each read at most once."""

    paths: Paths
    _seen: dict[str, Record | None] = field(default_factory=dict)
    _seals: dict[str, Seal] = field(default_factory=dict)
    _changed: dict[int, tuple[Params, dict[str, Any]]] = field(default_factory=dict)

    def get(self, spec: RunSpec) -> Record | None:
        """The record of a run; None where it has not finished, or was changed after the run.

        Raises:
            DamagedData: the file is not the record of this run.
        """
        if spec.digest not in self._seen:
            self._seen[spec.digest] = self._read(spec)
        return self._seen[spec.digest]

    def behind(self, targets: Iterable[RunSpec]) -> list[tuple[RunSpec, Record]]:
        """Finished runs among the targets and all that they depend on, each once."""
        specs = {s.digest: s for target in targets for s in target.with_upstream()}
        records = ((spec, self.get(spec)) for spec in specs.values())
        return [(spec, record) for spec, record in records if record is not None]

    def finished(self, runs: Mapping[RunKey, RunSpec | None]) -> FinishedRuns:
        """Those of a figure's runs that have finished."""
        records = {key: (spec, self.get(spec)) for key, spec in runs.items() if spec}
        return {key: (spec, record) for key, (spec, record) in records.items() if record}

    def missed_budget(self, evaluation: RunSpec | None) -> bool:
        """Whether the measured network was pruned by a search that ended over its budget."""
        search = structure_of(evaluation)
        record = self.get(search) if search else None
        return record is not None and record.at("structure", "met") is not True

    def state(self, cell: Cell) -> CellState:
        """Whether a cell of a table has its number, and why not."""
        if cell.row.role == "pending":
            return CellState.NOT_BUILT
        if not cell.row.stands_in(cell.column):
            return CellState.NO_CELL
        if cell.evaluation is None:
            return CellState.LEFT_OUT
        if self.get(cell.evaluation) is not None:
            return CellState.DONE
        if self.altered([cell.evaluation]):
            return CellState.ALTERED
        if self.diverged([cell.evaluation]):
            return CellState.DIVERGED
        trained = all(self.get(run) is not None for run in cell.evaluation.runs)
        return CellState.TRAINED if trained else CellState.NOT_RUN

    def diverged(self, targets: Iterable[RunSpec]) -> list[str]:
        """Which runs diverged and when, among the targets and all that they depend on.

        Raises:
            DamagedData: such a file is damaged.
        """
        specs = {s.digest: s for target in targets for s in target.with_upstream()}
        files = [self.paths.diverged(s) for s in specs.values() if self.get(s) is None]
        records = [Record(path, read_record(path)) for path in files if path.is_file()]
        return [f"{record.at('title')}: {record.at('said')}" for record in records]

    def altered(self, targets: Iterable[RunSpec]) -> list[str]:
        """Which records were changed after their runs, among those of the targets, a line each.

        Their numbers are nowhere used as measured.
        """
        return [
            f"{self.relative(spec)} {Seal.BROKEN.value}; {MEND}"
            for spec in targets
            if self.seal(spec) is Seal.BROKEN
        ]

    def stale(self, targets: Iterable[RunSpec]) -> list[str]:
        """Which data sets hold other images now than finished runs saw, a sentence each.

        Among the targets and all that they depend on; their numbers are used.
        """
        runs = ((spec, record.content) for spec, record in self.behind(targets))
        return [f"Other images: {line}." for line in stale(runs, self.paths)]

    def seal(self, spec: RunSpec) -> Seal | None:
        """Whether a run's record is what the run wrote; None where there is none."""
        self.get(spec)
        return self._seals.get(spec.digest)

    def changed(self, params: Params) -> dict[str, Any]:
        """See `changed_keys`; params.yaml is read once, as the records are."""
        if id(params) not in self._changed:  # beside it the object itself: no other has its id
            self._changed[id(params)] = params, changed_keys(params, self.paths.root / FILE)
        return self._changed[id(params)][1]

    def relative(self, spec: RunSpec) -> str:
        """Path of a run's record inside the project folder."""
        return self.paths.record(spec).relative_to(self.paths.root).as_posix()

    def _read(self, spec: RunSpec) -> Record | None:
        path = self.paths.record(spec)
        if not path.is_file():
            return None
        record = Record(path, read_record(path))
        digest = record.at("spec", "digest")
        if digest != spec.digest:
            raise record.damaged(("spec", "digest"), f"digest {digest}", spec.digest)
        self._seals[spec.digest] = seal_of(record.content)
        return None if self._seals[spec.digest] is Seal.BROKEN else record


def as_search(spec: RunSpec) -> SearchRun:
    """The search that a figure's run is.

    Raises:
        BadValue: the figure requests something else.
    """
    if not isinstance(spec, SearchRun):
        raise BadValue("exhibits", spec.title, "a search")
    return spec
