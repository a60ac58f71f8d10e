"""Takes records and artifacts of another person or machine in; overwrites nothing.

A record is taken as a whole or not at all: its artifacts first, the record last, so that a call
that is killed leaves no record without the artifacts that came with it. The same call goes on.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import UserError
from kdbench.store.artifacts import checked, forget_checkpoints, locked
from kdbench.store.atomic import whole_file, write_bytes
from kdbench.store.disk import plain_errors
from kdbench.store.paths import MANIFEST, Paths
from kdbench.store.record import read_intact
from kdbench.store.record_sets import record_files
from kdbench.store.spec import PHASES
from kdbench.workflow.asking.difference import Difference
from kdbench.workflow.sharing.incoming import Incoming, artifacts_digest, examine, read_inputs

MOST_SHOWN = 4  # differences of one conflict


@dataclass
class Merge:
    """What came of a merge.

    Attributes:
        taken: records that were new here.
        completed: records that were here already and whose artifacts were taken.
        same: records that are here already, with the same results.
        conflicts: records that stayed out because they disagree with one that is here.
        refused: records that are not what their run wrote.
    """

    taken: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line of counts."""
        counts = {name: len(titles) for name, titles in vars(self).items()}
        return ", ".join(f"{count} {name}" for name, count in counts.items())


def merge(
    folder: Path,
    paths: Paths,
    say: Callable[[str], None],
    *,
    dry: bool = False,
    scale: str | None = None,
) -> Merge:
    """Take the records of a folder in, each checked by digest, seal and hash.

    Args:
        folder: a project folder, or one that `kdbench share` wrote.
        paths: of this project.
        say: prints one line.
        dry: only say what would be done.
        scale: whose records to take; None for all.

    Raises:
        UserError: the folder holds no record, or none of that scale.
    """
    source, result = Paths(folder), Merge()
    files = record_files(folder) if source.results.is_dir() else []
    below = source.results / scale if scale else source.results
    files = [file for file in files if file.is_relative_to(below)]
    if not files:
        raise UserError(
            f"{folder}: no record below {below}; give a project folder, or what kdbench share wrote"
        )
    incoming = _examined(files, source, result, say)
    out: set[str] = set()  # digests that stay out, and so all that read them
    for one in incoming:
        _settle(one, paths, result, out, say, dry)
    return result


def _examined(
    files: list[Path], source: Paths, result: Merge, say: Callable[[str], None]
) -> list[Incoming]:
    """The intact records, inputs before the runs that read them; the others are refused."""
    incoming = list[Incoming]()
    for file in files:
        try:
            incoming.append(examine(file, source))
        except UserError as error:
            result.refused.append(str(file))
            say(f"refused: {error}")
    by_digest = {one.place.digest: one for one in incoming}
    return _ordered(by_digest)


def _ordered(incoming: Mapping[str, Incoming]) -> list[Incoming]:
    """By phase; a search after the one that it starts from."""

    def depth(one: Incoming) -> int:
        inner = [incoming[d] for d in one.content["spec"]["upstream"].values() if d in incoming]
        return 1 + max(map(depth, inner), default=0)

    return sorted(
        incoming.values(),
        key=lambda one: (PHASES.index(one.place.phase), depth(one), one.place.cell),
    )


def _settle(
    one: Incoming,
    paths: Paths,
    result: Merge,
    out: set[str],
    say: Callable[[str], None],
    dry: bool,
) -> None:
    """Take one record, find it here already, or say why it stays out."""
    title, record = one.place.title, paths.record(one.place)
    problem = _conflict(one, paths, out)
    if problem:
        out.add(one.place.digest)
        result.conflicts.append(title)
        say(f"conflict: {title}: {problem}; your record stays")
        return
    here = record.is_file()
    fits = not here or artifacts_digest(read_intact(record)) == artifacts_digest(one.content)
    lacks = one.artifacts is not None and not paths.manifest(one.place).is_file() and fits
    kind = result.taken if not here else result.completed if lacks else result.same
    kind.append(title)
    if not dry and (not here or lacks):
        _take(one, paths, write_record=not here)


def _conflict(one: Incoming, paths: Paths, out: set[str]) -> str:
    """Why a record cannot stand beside those that are here; empty where it can."""
    record = paths.record(one.place)
    if record.is_file():
        try:
            outcome = Difference(read_intact(record), one.content).outcome
        except UserError as error:
            return f"the record here is damaged: {error}"
        pairs = [f"{key} {ours} here, {theirs} there" for key, (ours, theirs) in outcome.items()]
        more = f" and {len(pairs) - MOST_SHOWN} more" if len(pairs) > MOST_SHOWN else ""
        return f"{', '.join(pairs[:MOST_SHOWN])}{more}" if pairs else ""
    for digest, read in read_inputs(one.content).items():
        if digest in out:
            return f"it read run {digest}, which stays out"
        ours = _record_here(digest, paths)
        if ours is not None and artifacts_digest(ours) != read:
            return f"it read other artifacts of run {digest} than those of the record here"
    return ""


def _record_here(digest: str, paths: Paths) -> Mapping[str, Any] | None:
    """The record of that run in this project."""
    files = [*paths.results.glob(f"*/records/*/*/*.{digest}.json")]
    return read_intact(files[0]) if files else None


def _take(one: Incoming, paths: Paths, *, write_record: bool) -> None:
    """Copy artifacts, then the manifest, then the record."""
    folder = paths.artifacts(one.place)
    with plain_errors(folder), locked(folder):
        if one.artifacts is not None:
            for name in (*one.content["artifacts"], MANIFEST):
                with whole_file(folder / name) as temporary:
                    shutil.copyfile(one.artifacts / name, temporary)
            checked(folder)
        if write_record:
            write_bytes(paths.record(one.place), one.written)
            paths.diverged(one.place).unlink(missing_ok=True)
        forget_checkpoints(folder)
