"""Records of a folder or of a commit, whoever made them: by the digests of their runs."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import BadValue, DamagedData, UserError
from kdbench.store.paths import RESULTS, Paths
from kdbench.store.record import MEND, Seal, parse_record, read_record, seal_of

NAME = re.compile(r"(?P<cell>.+)\.(?P<digest>[0-9a-f]{12})\.json")
OTHERS = {"report", "diverged", "artifacts", "tracked", "redo"}  # folders without runs' records


@dataclass(frozen=True)
class RecordSet:
    """The records of one place.

    Attributes:
        name: the place, as the user wrote it.
        records: by the digest of the run; those that are intact, or of a schema without seals.
        refused: a line for every file that is no such record.
    """

    name: str
    records: Mapping[str, Mapping[str, Any]]
    refused: tuple[str, ...] = ()


def read_record_set(name: str, root: Path, scale: str | None = None) -> RecordSet:
    """The records of a project folder, of any folder of records, or of a commit.

    Args:
        name: a folder, or what git takes for a commit.
        root: the project's folder, whose commits are meant.
        scale: whose records are meant; None for all.

    Raises:
        BadValue: neither a folder nor a commit.
    """
    if (root / name).is_dir():
        return _gathered(name, ((path, None) for path in record_files(root / name)), scale)
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", name, "--", RESULTS)
    if listed is None or name.startswith("-"):
        raise BadValue("records", name, "a folder with records, or a commit of git")
    files = [Path(file) for file in listed.decode().split("\0") if is_record_file(Path(file))]
    return _gathered(name, _committed(name, files, root), scale)


def record_files(folder: Path) -> list[Path]:
    """The files of runs' records in a project folder, or below any other folder."""
    results = Paths(folder).results
    below = results if results.is_dir() else folder
    return [f for f in sorted(below.rglob("*.json")) if is_record_file(f.relative_to(below))]


def is_record_file(path: Path) -> bool:
    """Whether a path, relative to a folder of results, is named as a run's record."""
    hidden = any(part.startswith(".") for part in path.parts)
    return bool(NAME.fullmatch(path.name)) and not OTHERS & {*path.parts} and not hidden


def _gathered(
    name: str, files: Iterator[tuple[Path, bytes | None]], scale: str | None
) -> RecordSet:
    records, refused = dict[str, Mapping[str, Any]](), list[str]()
    for path, content in files:
        try:
            record = read_record(path) if content is None else parse_record(content, path)
            digest = record["spec"]["digest"]
            if scale and record["spec"]["scale"] != scale:
                continue
            if seal_of(record) is Seal.BROKEN:
                refused.append(f"{path} {Seal.BROKEN.value}; {MEND}")
            else:
                records[str(digest)] = record
        except UserError as error:
            refused.append(str(error))
        except (KeyError, TypeError):
            refused.append(str(DamagedData(path, "no run", "a run's record", "delete the file")))
    return RecordSet(name, records, tuple(refused))


def _committed(commit: str, files: list[Path], root: Path) -> Iterator[tuple[Path, bytes]]:
    """Files of a commit with their contents, in one call of git."""
    names = "".join(f"{commit}:./{file.as_posix()}\n" for file in files)
    output = _git(root, "cat-file", "--batch", given=names.encode()) or b""
    place = 0
    for file in files:
        header, _, _ = output[place:].partition(b"\n")
        size = int(header.split()[-1])
        place += len(header) + 1
        yield file, output[place : place + size]
        place += size + 1


def _git(root: Path, *words: str, given: bytes = b"") -> bytes | None:
    """What git prints; None where it fails or is absent."""
    try:
        call = subprocess.run(["git", *words], cwd=root, input=given, capture_output=True)
    except OSError:
        return None
    return call.stdout if call.returncode == 0 else None
