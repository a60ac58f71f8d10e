"""Locks between processes: the kernel's own, freed when their holder ends, even by SIGKILL.

Some network file systems have none (Lustre mounted without `flock`, NFS without its lock daemon).
There KDBENCH_LOCKS=files takes lock files in their place: the process that makes the file has the
lock. One that a killed process of this machine left is taken over; one of another machine stays
until somebody deletes it, as nobody here can know whether its holder lives.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from kdbench.console import say
from kdbench.errors import BadValue, UserError

SETTING = "KDBENCH_LOCKS"  # environment: "kernel" (flock) or "files"
NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP, errno.EINVAL}
MOUNTS = Path("/proc/self/mounts")
PATIENCE = 2.0  # seconds before a waiting process says so


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the lock of that name; waits, in one line, while another process has it.

    The lock file is deleted while its lock is still held: who waited for it sees that the file has
    no name any more, and starts over. The folder is made, again if somebody deletes it meanwhile.

    Raises:
        UserError: the file system has no locks.
        BadValue: KDBENCH_LOCKS is neither of its values.
    """
    lock, own = _acquire(file)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):  # somebody deleted the folder under the lock
            if os.path.samestat(own, file.stat()):
                file.unlink()
        lock.release()


def is_held(file: Path, *, without_locks: bool = False) -> bool:
    """Whether another process holds the lock of that name now.

    Args:
        file: the lock file; there need be none.
        without_locks: the answer where the file system has no locks and the file is there.
    """
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return without_locks


def _acquire(file: Path) -> tuple[BaseFileLock, os.stat_result]:
    """The lock, held, and its file."""
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = _new(file)
        try:
            _wait(lock, file)
            return lock, file.stat()
        except FileNotFoundError:
            lock.release()
        except OSError as error:
            if error.errno in NO_FLOCK:
                raise _no_locks(file, error) from error
            raise


def _new(file: Path) -> BaseFileLock:
    """A lock of the kind that is asked for; no other kind takes its place unasked."""
    kind = os.environ.get(SETTING) or "kernel"
    if kind not in ("kernel", "files"):
        raise BadValue(SETTING, kind, "'kernel' or 'files'")
    return SoftFileLock(file) if kind == "files" else FileLock(file, fallback_to_soft=False)


def _wait(lock: BaseFileLock, file: Path) -> None:
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        say(f"{file}: another process holds this lock; waiting for its end")
        lock.acquire(timeout=-1)


def _no_locks(file: Path, error: OSError) -> UserError:
    kind = file_system_of(file)
    return UserError(
        f"{file}: the file system ({kind}) refuses locks ({error.strerror}); mount it with locks "
        f"(Lustre: -o flock; NFS: version 4, or a running lockd), put the project on another file "
        f"system, or set {SETTING}=files"
    )


def file_system_of(path: Path, mounts: Path = MOUNTS) -> str:
    """Kind and mount point of the file system that a path lies on, such as "nfs4 at /home"."""
    place = path.absolute()
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return "of unknown kind"
    points = [(_decoded(fields[1]), fields[2]) for fields in map(str.split, lines)]
    above = [pair for pair in points if place.is_relative_to(pair[0])]
    point, kind = max(above, key=lambda pair: len(pair[0]), default=("/", "of unknown kind"))
    return f"{kind} at {point}"


def _decoded(text: str) -> str:
    """A mount point, in which the kernel writes spaces as octal numbers."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), text)
