"""Makes a finished run again, beside its record, and puts it in its place when it is whole.

The new run lies in `results/<scale>/redo` until it is finished: whatever happens until then, the
older record and its artifacts are untouched. Then the new artifacts take the place of the older
ones, and the new record, last and in one rename, that of the older. A call that is killed between
the two goes on with the same command.
"""

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import UserError
from kdbench.plan.graph import Graph
from kdbench.store.artifacts import checked, locked
from kdbench.store.paths import MANIFEST, Paths, PathsAside
from kdbench.store.record import read_intact, read_record
from kdbench.store.spec import RunSpec
from kdbench.workflow.asking.difference import Difference

Say = Callable[[str], None]
Make = Callable[[RunSpec, Paths], None]
MOST_SHOWN = 20  # differences


@dataclass(frozen=True)
class Redone:
    """A run made again.

    Attributes:
        difference: of the older record (first) and the new one (second).
        readers: finished runs that read the older artifacts, where the new ones differ.
    """

    difference: Difference
    readers: list[RunSpec]


def redo(run: RunSpec, graph: Graph, paths: Paths, make: Make) -> Redone:
    """Make a finished run again and put the new one in the older one's place.

    Args:
        run: a finished run.
        graph: the plan that it is of.
        paths: of the project.
        make: executes a run under the given paths, with what it needs; goes on from a checkpoint.

    Raises:
        UserError: the run is not finished, or its record is damaged.
        TryAgain: stopped with a checkpoint; the same command goes on.
    """
    record = paths.record(run)
    if not record.is_file():
        raise UserError(f"{run.title}: not done yet, so there is nothing to redo; kdbench run")
    aside = PathsAside(paths.root, digest=run.digest)
    make(run, aside)
    difference = Difference(read_record(record), read_intact(aside.record(run)))
    changed = any(key.startswith("bytes of") for key in difference.outcome)
    _take_place(run, paths, aside)
    return Redone(difference, _readers(run, graph, paths) if changed else [])


def lines(run: RunSpec, redone: Redone) -> list[str]:
    """What came of it: what differs, and which runs read the older artifacts."""
    difference = redone.difference
    changes = {**difference.origin, **difference.outcome}
    shown = [f"  {key}: {a} -> {b}" for key, (a, b) in [*changes.items()][:MOST_SHOWN]]
    more = len(changes) - len(shown)
    result = "the same numbers, to the last bit" if not difference.outcome else "other numbers"
    readers = [f"  read the older artifacts: {one.title} ({one.digest})" for one in redone.readers]
    advice = [f"  kdbench redo {' '.join(one.digest for one in redone.readers)}"] if readers else []
    return [
        f"{run.title}: made again, {result}",
        *shown,
        *([f"  and {more} more"] if more > 0 else []),
        *readers,
        *advice,
    ]


def _take_place(run: RunSpec, paths: Paths, aside: Paths) -> None:
    """Put the new artifacts and, last, the new record in the place of the older ones."""
    folder, fresh = paths.artifacts(run), aside.artifacts(run)
    with locked(folder):
        if (fresh / MANIFEST).is_file():  # else a call that was killed since has moved them all
            names = [*json.loads((fresh / MANIFEST).read_bytes()), MANIFEST]
            (folder / MANIFEST).unlink(missing_ok=True)
            for name in names[:-1]:
                if (fresh / name).is_file():  # else that call has moved this one
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (fresh / name).replace(folder / name)
            _remove_others(folder, names)
            (fresh / MANIFEST).replace(folder / MANIFEST)
        checked(folder)
        aside.record(run).replace(paths.record(run))
    shutil.rmtree(fresh, ignore_errors=True)
    aside.diverged(run).unlink(missing_ok=True)


def _remove_others(folder: Path, names: Collection[str]) -> None:
    """Delete the older run's files that the new one has not."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name not in names and not name.startswith("."):
            file.unlink()


def _readers(run: RunSpec, graph: Graph, paths: Paths) -> list[RunSpec]:
    """Finished runs of the plan that read the run's artifacts."""
    return [
        reader
        for reader in graph.runs.values()
        if any(upstream.digest == run.digest for upstream in reader.upstream.values())
        and paths.record(reader).is_file()
    ]
