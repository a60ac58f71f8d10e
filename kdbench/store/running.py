"""What a run says of itself while it trains: how far it is, how fast, and its curves so far.

Each run in progress has one small file, renewed every few seconds by its own process and deleted
when that ends. It is no record: no number of a report comes from it. A file that nobody renews is
that of a process that was killed.
"""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

from kdbench.errors import UserError
from kdbench.exhibits.tasks import SCORES, score_curve
from kdbench.store.atomic import is_running, write_json

AXES = ("epoch", "first_epoch")  # names of curves that others stand over
SILENT = 300.0  # seconds after which a run counts as silent: an evaluation may take minutes


@dataclass(frozen=True, kw_only=True)
class Running:
    """One run in progress.

    Attributes:
        digest, phase, dataset, cell: which run it is.
        host, pid, device: which process trains it, and on what.
        started, updated: when that process began its first step, and wrote this; seconds since
            the epoch.
        begun, done, total: steps that were done before it began, that are done, and that there
            are.
        curves: values by name, one per epoch, as the record will have them.
    """

    digest: str
    phase: str
    dataset: str
    cell: str
    host: str
    pid: int
    device: str
    started: float
    updated: float
    begun: int
    done: int
    total: int
    curves: Mapping[str, Sequence[float]]

    @property
    def title(self) -> str:
        """For readers, as a specification's."""
        return f"{self.phase} {self.dataset} {self.cell}"

    @property
    def share(self) -> float:
        """How much of its steps is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def step_seconds(self) -> float | None:
        """Seconds per step since its process began, evaluations included; None before a step."""
        steps = self.done - self.begun
        return (self.updated - self.started) / steps if steps > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At that speed, from when this was written; None before a step."""
        each = self.step_seconds
        return None if each is None else each * (self.total - self.done)

    def points(self, name: str) -> list[tuple[float, float]]:
        """A curve as (epoch, value), without epochs at which it was not measured."""
        return points_of(self.curves, name)

    @property
    def measured(self) -> list[str]:
        """Names of the curves, the task's score first."""
        names = [name for name in self.curves if name not in AXES]
        return sorted(names, key=lambda name: (not _is_score(name), names.index(name)))

    @cached_property
    def gone(self) -> bool:
        """Whether its process was on this machine and is no more."""
        return self.host == platform.node() and not is_running(self.pid)

    def silence(self, now: float) -> float:
        """Seconds since it was last heard of."""
        return max(0.0, now - self.updated)

    def state(self, now: float) -> str:
        """One of: running, silent, stopped."""
        if self.gone:
            return "stopped"
        return "silent" if self.silence(now) > SILENT else "running"


def points_of(curves: Mapping[str, Sequence[float | None]], name: str) -> list[tuple[float, float]]:
    """A curve as (epoch, value), without epochs at which it was not measured.

    >>> points_of({"epoch": [1.0, 2.0], "test_top1": [-1.0, 60.5]}, "test_top1")
    [(2.0, 60.5)]
    """
    values = curves[name]
    epochs = curves.get("first_epoch" if name.startswith("first_") else "epoch", [])
    axis = epochs if len(epochs) == len(values) else range(1, len(values) + 1)
    points = [(e, v) for e, v in zip(axis, values, strict=True) if e is not None and v is not None]
    return [(float(e), float(v)) for e, v in points if not _is_score(name) or v >= 0]


def _is_score(name: str) -> bool:
    """Whether a curve is of the task's score, below 0 at epochs at which it was not measured."""
    return name in map(score_curve, SCORES)


def write_running(file: Path, running: Running) -> None:
    """Renew a run's file; a training goes on where the disk, or a loss, does not let it."""
    with suppress(OSError, UserError, ValueError):
        write_json(file, asdict(running))


def read_running(folder: Path) -> list[Running]:
    """All runs in progress, those with least left first; what cannot be read is left out."""
    return sorted(_readable(folder), key=lambda r: (r.seconds_left or 0.0, r.title))


def _readable(folder: Path) -> Iterator[Running]:
    names = {field.name for field in fields(Running)}
    for file in sorted(folder.glob("*/*/[!.]*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):  # it may end at this moment
            content = json.loads(file.read_text(encoding="utf-8"))
            yield Running(**{name: content[name] for name in names})
