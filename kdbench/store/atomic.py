"""The one writer of whole files: filled under a temporary name, put on the disk, then renamed.

Readers see the older file or the new one, never half of one, and a power cut leaves no empty file
under the final name. Temporary names begin with a dot, so `artifacts.sweep` finds those of killed
processes.
"""

import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kdbench.store.disk import plain_errors

HOST = f"@{platform.node().replace('.', '-')}"  # whose process a temporary file belongs to
DRAFT_LOCK, ASIDE = "lock", "old"  # in the folder that holds a draft
FORGOTTEN = 3600.0  # seconds


@contextmanager
def whole_file(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Give a temporary path to fill; it takes the place of `path` when the block ends well.

    Folders are made. The file has the mode that the umask gives, whatever library writes it. If
    anything fails, `path` is what it was and the temporary file is gone.

    Args:
        path: the file.
        previous: the name that an older file gets; without one it is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_files(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{HOST}")
    temporary.touch()
    mode = stat.S_IMODE(temporary.stat().st_mode)
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors makes files that their owner alone can read
        flush(temporary)
        if previous is not None and path.exists():
            _keep(path, previous)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name: whoever looks or copies meanwhile finds the first one too."""
    _sweep_files(previous)
    link = previous.with_name(f".{previous.name}.{os.getpid()}{HOST}")
    link.unlink(missing_ok=True)
    try:
        link.hardlink_to(path)
    except OSError:  # a file system without hard links: for a moment there is the older name alone
        path.replace(previous)
        return
    try:
        link.replace(previous)
    finally:
        link.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole file in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with a fixed layout, so that equal contents are equal bytes.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a draft folder to fill; it takes the place of `folder` when the block ends well.

    The draft lies beside `folder`, so that the last step is a rename. If anything fails, what
    `folder` held before is still there and the draft is gone. Drafts of killed processes are
    removed first.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    with plain_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_drafts(folder)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        lock = FileLock(
            work / DRAFT_LOCK, fallback_to_soft=False
        )  # until this process ends, however it ends
        try:
            with suppress(OSError, NotImplementedError):  # a file system without locks
                lock.acquire(timeout=0)
            draft = work / "new"
            draft.mkdir()
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    flush(file)
            _replace(folder, draft, aside=work / ASIDE)
        finally:
            lock.release()
            shutil.rmtree(work, ignore_errors=True)


def sweep_drafts(folder: Path) -> None:
    """Remove drafts of `folder` whose process was killed.

    One that was killed between its two renames has put aside what `folder` held: that goes back.
    """
    for work in folder.parent.glob(f".{folder.name}.*"):
        if not work.is_dir() or not _is_left_behind(work):
            continue
        if not folder.exists() and (work / ASIDE).is_dir():
            (work / ASIDE).replace(folder)
        shutil.rmtree(work, ignore_errors=True)


def _is_left_behind(work: Path) -> bool:
    """Whether the process is gone whose draft this is.

    Its lock says so. A draft without one is from a process that was killed within a moment, from
    a file system without locks, or from an older version: it counts after an hour without a write.
    """
    if not (work / DRAFT_LOCK).exists():
        times = [path.lstat().st_mtime for path in (work, *work.rglob("*"))]
        return time.time() - max(times) > FORGOTTEN
    try:
        with FileLock(work / DRAFT_LOCK, timeout=0, fallback_to_soft=False):
            return True
    except (Timeout, OSError, NotImplementedError):
        return False


def publish(temporary: Path, path: Path) -> None:
    """Rename a complete file to `path`, its content being on the disk before its name is."""
    flush(temporary)
    temporary.replace(path)


def flush(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace(folder: Path, draft: Path, aside: Path) -> None:
    """Rename `draft` to `folder`; a folder that is there already goes aside first."""
    if folder.exists():
        folder.replace(aside)
    try:
        draft.replace(folder)
    except OSError:
        if aside.exists():
            aside.replace(folder)
        raise


def _sweep_files(path: Path) -> None:
    """Remove what killed processes of this machine left of a file."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+){re.escape(HOST)}")
    for entry in os.scandir(path.parent):
        match = name.fullmatch(entry.name)
        if match and not is_running(int(match[1])):
            Path(entry).unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
