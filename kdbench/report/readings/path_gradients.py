"""How strongly each path of DFA's bridge loss pulled at β, and whether both pulled one way."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from kdbench.exhibits.keys import RunKey
from kdbench.report.readings.aggregation import NAME
from kdbench.report.readings.process import read_rows
from kdbench.report.readings.records import Record, as_search
from kdbench.store.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

COSINE = "cosine"


@dataclass(frozen=True)
class PathGradients:
    """Gradients in β at the steps that a record lists.

    Attributes:
        name: of the search in its figure.
        groups: numbers of the groups, in the order of their turns.
        turns: the group whose turn it was, by step.
        epochs: progress of the search by step, in epochs.
        values: norm of each path's gradient, by the path's name, and the cosine of the two; None
            where β rested.
    """

    name: str
    groups: list[int]
    turns: list[int]
    epochs: list[float]
    values: dict[str, list[float | None]]

    @property
    def paths(self) -> list[str]:
        """Names of the paths, one or two."""
        return [name for name in self.values if name != COSINE]

    def middle(self, name: str, group: int) -> float | None:
        """Median of some values over a group's turn; None where there is none."""
        pairs = zip(self.turns, self.values.get(name, []), strict=False)
        numbers = [value for turn, value in pairs if turn == group and value is not None]
        return median(numbers) if numbers else None

    def frame(self) -> "pd.DataFrame":
        """A line per listed step."""
        import pandas as pd

        about = {"search": self.name, "epoch": self.epochs, "group": self.turns}
        return pd.DataFrame({**about, **self.values})


def read_path_gradients(key: RunKey, spec: RunSpec, record: Record) -> PathGradients:
    """The gradients that a search of DFA recorded.

    Raises:
        DamagedData: the record has none, or see `kdbench.report.readings.process.read_rows`.
    """
    rows = read_rows(record)
    groups = _groups(record, rows.names)
    steps = [int(record.number("gradients", "steps", i)) for i in range(len(rows.steps))]
    length = float(as_search(spec).recipe.epochs)
    paths = [path for path in record.at("gradients") if path != "steps"]
    return PathGradients(
        str(key),
        groups,
        [groups[step * len(groups) // rows.total] for step in steps],
        [step * length / rows.total for step in steps],
        {path: [_value(record, path, i) for i in range(len(steps))] for path in paths},
    )


def _groups(record: Record, names: Sequence[str]) -> list[int]:
    """Numbers of the groups among the names of blocks, in their order."""
    matches = [(name, NAME.fullmatch(name)) for name in names]
    for name, match in matches:
        if match is None:
            raise record.damaged(("process", "pathways"), name, "a name like g1-b3")
    return list(dict.fromkeys(int(match[1]) for _, match in matches if match))


def _value(record: Record, path: str, i: int) -> float | None:
    if record.at("gradients", path, i) is None:
        return None
    return record.number("gradients", path, i)
