"""TensorBoard's event files, from what runs write as they go and from records; never for numbers.

`tensorboard --logdir results/<scale>/tensorboard` shows them. The package tensorboard is an extra.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import UserError
from kdbench.plan.graph import Graph
from kdbench.store.paths import Paths
from kdbench.store.record import read_record
from kdbench.store.running import AXES, Running, points_of
from kdbench.store.spec import RunSpec

SUFFIX = ".kdbench"
MISSING = (
    "kdbench watch --tensorboard: the package tensorboard is not installed; "
    "pip install 'kdbench[tensorboard]'"
)
Point = tuple[float, float]


class EventFiles:
    """The event files of one scale, which grow while this object lives.

    A folder per run, named as in results/<scale>/records. What an older call wrote is replaced.
    """

    def __init__(self, paths: Paths, graph: Graph) -> None:
        """Begin with nothing.

        Raises:
            UserError: TensorBoard is not installed.
        """
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise UserError(MISSING) from None
        self._make: Any = EventFileWriter
        self.paths, self.graph = paths, graph
        self.folder = paths.event_files(graph.scale.name)
        self._writers: dict[str, Any] = {}
        self._written: dict[tuple[str, str], float] = {}
        self._recorded: set[str] = set()

    def write(self, running: Sequence[Running]) -> None:
        """Add new points of runs in progress and of runs that have finished since."""
        for one in running:
            place = f"{one.phase}/{one.dataset}/{one.cell}.{one.digest}"
            self._add(place, {name: one.points(name) for name in one.measured}, one.updated)
        for spec in self.graph.runs.values():
            if spec.digest not in self._recorded and self.paths.record(spec).is_file():
                self._recorded.add(spec.digest)
                self._add(_place(spec), _recorded(self.paths.record(spec)), time.time())
                if writer := self._writers.pop(_place(spec), None):
                    writer.close()  # each has a thread
        for writer in self._writers.values():
            writer.flush()

    def _add(self, place: str, curves: Mapping[str, Sequence[Point]], wall: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, points in curves.items():
            last = self._written.get((place, name), -1.0)
            new = [(step, value) for step, value in points if step > last]
            for step, value in new:
                summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
                self._writer(place).add_event(
                    Event(wall_time=wall, step=round(step), summary=summary)
                )
            if new:
                self._written[place, name] = new[-1][0]

    def _writer(self, place: str) -> Any:
        """Of one run; the first call removes what an older call left."""
        if place not in self._writers:
            folder = self.folder / place
            for older in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
                older.unlink()
            self._writers[place] = self._make(str(folder), filename_suffix=SUFFIX)
        return self._writers[place]


def _place(spec: RunSpec) -> str:
    return f"{spec.phase}/{spec.dataset}/{spec.cell}.{spec.digest}"


def _recorded(file: Path) -> dict[str, list[Point]]:
    """The curves of a finished run."""
    curves: Mapping[str, Sequence[Any]] = read_record(file).get("curves") or {}
    return {name: points_of(curves, name) for name in curves if name not in AXES}
