"""Checks of the disk: room, kind of file system, locks, prepared data, records."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from kdbench.errors import UserError
from kdbench.plan.graph import Graph
from kdbench.store.artifacts import LOCK
from kdbench.store.locks import SETTING, is_held
from kdbench.store.paths import Paths
from kdbench.store.record import Seal, read_record, seal_of
from kdbench.workflow.doctor.findings import Finding, care, fine, wrong
from kdbench.workflow.doctor.machine import Machine

GB = 1_000_000_000
LEAST_FREE = 2 * GB
NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "9p", "fuse", "glusterfs")
MOST_NAMED = 5
UNWRITABLE = {errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT}


def check_room(machine: Machine) -> Iterator[Finding]:
    """Free space where the project lies."""
    text = f"{machine.free / GB:.1f} GB free"
    if machine.free < LEAST_FREE:
        advice = "free some, or kdbench prune; kdbench estimate says what the plan will need"
        yield wrong("disk", text, advice)
    else:
        yield fine("disk", text)


def check_file_system(machine: Machine, paths: Paths) -> Iterator[Finding]:
    """Whether files can be written, renamed, told apart by case, and linked."""
    kind = machine.file_system.partition(" ")[0]
    if kind.startswith(NETWORK):
        advice = "docs/clusters.md, File systems: locks and latency-wait"
        yield care("file system", machine.file_system, advice)
    try:
        with tempfile.TemporaryDirectory(prefix=".kdbench-doctor-", dir=paths.root) as name:
            folder = Path(name)
            (folder / "a").write_text("")
            if (folder / "A").exists():
                advice = "put the project where they do: names of runs may differ in case alone"
                yield wrong("file system", "small and capital letters make no difference", advice)
            try:
                os.link(folder / "a", folder / "b")
            except OSError:
                advice = "DVC's second names of artifacts will be copies, twice the room"
                yield care("file system", f"{kind} has no hard links", advice)
    except OSError as error:
        text = f"{paths.root.absolute()} cannot be written: {error.strerror}"
        yield wrong("file system", text, "mount it writable, or work elsewhere")
    else:
        yield fine("file system", f"{machine.file_system}, can be written")


def check_locks(machine: Machine, paths: Paths) -> Iterator[Finding]:
    """Whether the kernel locks files here, and who holds the locks of runs."""
    if machine.environment.get(SETTING) != "files":
        yield from _kernel_locks(paths.root, machine.file_system)
    held, left = list[Path](), list[Path]()
    for lock in sorted(paths.results.glob(f"*/artifacts/*/*/*/{LOCK}")):
        (held if is_held(lock) else left).append(lock)
    if held:
        yield care("locks", f"{len(held)} runs are at work: {_named(held)}")
    if left and machine.environment.get(SETTING) == "files":
        advice = "delete those whose process is gone, also on other nodes"
        yield care("locks", f"{len(left)} lock files: {_named(left)}", advice)


def _kernel_locks(root: Path, kind: str) -> Iterator[Finding]:
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".kdbench-doctor-", dir=root) as folder,
            FileLock(Path(folder) / "lock", timeout=1, fallback_to_soft=False),
        ):
            yield fine("locks", "the file system locks files")
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", None) in UNWRITABLE:
            return  # the check of the file system says so
        reason = getattr(error, "strerror", None) or str(error)
        advice = f"mount it with locks, or set {SETTING}=files (docs/clusters.md)"
        yield wrong("locks", f"the file system ({kind}) refuses locks ({reason})", advice)


def check_data(graph: Graph, paths: Paths) -> Iterator[Finding]:
    """Whether the data sets of the plan are prepared and whole enough to be opened."""
    if graph.scale.stand_in:
        yield fine("data", f"scale {graph.scale.name} makes stand-ins of its own")
        return
    from kdbench.data.ingest.catalogue import DAMAGED, PREPARED, describe

    for name in sorted({run.dataset for run in graph.runs.values()}):
        declared = graph.components.get("dataset", name, where="exhibits").described
        entry = describe(declared, paths.data / name)
        if entry.state == DAMAGED:
            yield wrong("data", f"{name}: {entry.problem}", f"kdbench data prepare {name}")
        elif entry.state != PREPARED:
            yield care("data", f"{name} is not prepared", f"kdbench data prepare {name}")
        else:
            yield fine("data", f"{name} is prepared")


def check_records(graph: Graph, paths: Paths) -> Iterator[Finding]:
    """Whether the plan's finished records are what their runs wrote, and which runs diverged."""
    finished = [run for run in graph.runs.values() if paths.record(run).is_file()]
    damaged = list[Path]()
    for run in finished:
        try:
            record = read_record(paths.record(run))
            if seal_of(record) is Seal.BROKEN:
                damaged.append(paths.record(run))
        except UserError:
            damaged.append(paths.record(run))
    if damaged:
        text = f"{len(damaged)} of {len(finished)} are damaged: {_named(damaged)}"
        yield wrong("records", text, "kdbench verify --repair")
    else:
        yield fine("records", f"{len(finished)} of {len(graph.runs)} runs are finished")
    diverged = [paths.diverged(r) for r in graph.runs.values() if paths.diverged(r).is_file()]
    if diverged:
        yield care("records", f"{len(diverged)} runs diverged: {_named(diverged)}")


def _named(files: list[Path]) -> str:
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return ", ".join(map(str, files[:MOST_NAMED])) + more
