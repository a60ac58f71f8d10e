"""Writing that either ends whole or leaves nothing, and errors of the disk in one line."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def plain_errors(where: object) -> Iterator[None]:
    """Turn the operating system's errors inside the block into one line about `where`.

    Raises:
        UserError: for any OSError; a full disk is called by its name.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            advice = "free some space or choose another folder"
            raise UserError(f"{where}: no room left on the disk; {advice}") from error
        reason = error.strerror or str(error)
        raise UserError(f"{where}: cannot be read or written: {reason}") from error


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
            _replace(folder, draft, aside=work / "old")
        finally:
            shutil.rmtree(work, ignore_errors=True)


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
