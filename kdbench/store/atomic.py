"""The one writer of whole files: filled under a temporary name, put on the disk, then renamed.

Readers see the older file or the new one, never half of one, and a power cut leaves no empty file
under the final name. Temporary names begin with a dot, so `artifacts.sweep` finds those of killed
processes.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdbench.store.disk import plain_errors


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to fill; it takes the place of `path` when the block ends well.

    Folders are made. If anything fails, `path` is what it was and the temporary file is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    `folder` held before is still there and the draft is gone.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    with plain_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            draft = work / "new"
            draft.mkdir()
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():
                    flush(file)
            _replace(folder, draft, aside=work / "old")
        finally:
            shutil.rmtree(work, ignore_errors=True)


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
