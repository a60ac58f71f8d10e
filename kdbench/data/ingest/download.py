"""Fetching a published file: resumable, and kept only if its checksum is right."""

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from kdbench.errors import BadValue, DamagedData, TryAgain, UserError
from kdbench.store.atomic import publish
from kdbench.store.disk import checksum_of, disk_is_full, plain_errors

Progress: TypeAlias = Callable[[int, int | None], None]  # bytes so far, bytes in all if known

BLOCK = 1 << 18
TIMEOUT = 30  # seconds without a byte
LOCAL = "or give a copy that you already have as the source: an archive or a folder"


def fetch(
    url: str,
    target: Path,
    checksum: str,
    size: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download `url` to `target`, going on where an earlier attempt stopped.

    Bytes arrive in `<target>.part`, which becomes `target` only when its checksum is right.

    Args:
        url: http or https.
        target: a file; one that is there already with the right checksum is kept.
        checksum: "md5:<hex>" or "sha256:<hex>".
        size: expected bytes, if known.
        progress: called after each block.

    Returns:
        `target`.

    Raises:
        DamagedData: the checksum or the size is wrong; nothing is kept.
        TryAgain: the connection broke; the same call goes on from there.
        UserError: the server cannot be reached or refuses, or the disk is full.
    """
    if not url.startswith(("http://", "https://")):
        raise BadValue("url", url, "an http or https address")
    if target.is_file() and matches(target, checksum):
        return target
    part = target.with_name(f"{target.name}.part")
    with plain_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    _download(url, part, size, progress)
    if not matches(part, checksum):
        actual = digest(part, checksum.partition(":")[0])
        part.unlink()
        raise DamagedData(url, actual, checksum, f"nothing was kept; try again, {LOCAL}")
    with plain_errors(target):
        publish(part, target)
    return target


def digest(path: Path, algorithm: str) -> str:
    """Checksum of a file as "<algorithm>:<hex>".

    Raises:
        BadValue: an algorithm other than md5 and sha256.
        UserError: the file cannot be read.
    """
    if algorithm not in ("md5", "sha256"):
        raise BadValue("checksum", algorithm, "md5:<hex> or sha256:<hex>")
    with plain_errors(path):
        return f"{algorithm}:{checksum_of(path, algorithm)}"


def matches(path: Path, checksum: str) -> bool:
    """Whether the file at `path` has this checksum."""
    return digest(path, checksum.partition(":")[0]) == checksum.lower()


def _download(url: str, part: Path, size: int | None, progress: Progress | None) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if size is not None and start == size:
        return
    if size is not None and start > size:
        part.unlink()
        start = 0
    response = _connect(url, start)
    if response is None:  # the server has nothing after `start`: the checksum will tell
        return
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else size
        if size is not None and total != size:
            part.unlink(missing_ok=True)
            raise DamagedData(url, f"{total} bytes", f"{size} bytes", f"try again, {LOCAL}")
        try:
            with plain_errors(part), part.open("ab" if start else "wb") as file:
                done = _receive(response, file, start, total, progress)
        except UserError as error:
            if disk_is_full(error):
                part.unlink(missing_ok=True)
            raise
    if total is not None and done < total:
        raise TryAgain(f"{url}: the connection broke after {done} of {total} bytes; try again")


def _connect(url: str, start: int) -> http.client.HTTPResponse | None:
    """Request for the bytes from `start` on; None if there are none."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        reason = f"the server answered {error.code} {error.reason}"
        raise UserError(f"{url}: {reason}; try again later, {LOCAL}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UserError(f"{url}: cannot be reached ({cause}); try again, {LOCAL}") from None
    begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if response.status == http.client.PARTIAL_CONTENT and int(begins[1] if begins else -1) != start:
        response.close()
        raise UserError(f"{url}: the server sent another part than was asked for; {LOCAL}")
    return response


def _receive(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    done: int,
    total: int | None,
    progress: Progress | None,
) -> int:
    """Copy until the end or until the connection breaks; bytes in the file."""
    while True:
        try:
            block = response.read(BLOCK)
        except (OSError, http.client.HTTPException):
            if total is None:
                raise
            return done
        if not block or (total is not None and done > total):
            return done
        file.write(block)
        done += len(block)
        if progress is not None:
            progress(done, total)
