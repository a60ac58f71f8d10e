"""Results of a machine that is lent for minutes: packed while it works, each file self-contained.

    python benchmarks/slices.py note PROJECT SCALE         remember what is there before the work
    python benchmarks/slices.py pack PROJECT SCALE OUT     write what is new since then
    python benchmarks/slices.py unpack FOLDER PROJECT      put it into a project's results/

OUT gets records.tar (all records), runs-0.tar, runs-1.tar, ... (artifacts and checkpoints of whole
runs, each file of use without the others) and, of a run that is larger than a file may be,
<phase>-<digest>.tar.00, .01, ... Every file is written under another name and renamed. Runs that
are under way come first; what no longer fits is named, and stays in the project.
"""

import io
import json
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.store.atomic import write_bytes, write_json
from kdbench.store.paths import CHECKPOINT, PREVIOUS

PIECE = 15 * 2**20  # bytes of a file at most
MOST_BYTES = 63 * 2**20  # of all files; 1 MiB is left for the log
MOST_FILES = 6  # beside the log and the records
PHASES = ("teacher", "search", "student", "evaluation")  # what others need comes first
NOTED = ".before.json"  # in the project: size and time of the artifacts before the work
RECORDS, RUNS, PARTS = "records.tar", "runs-*.tar", "*.tar.[0-9][0-9]"
BLOCK = 512  # bytes; a file in an archive takes up to 5 beside its content, the archive 20
TRIES = 5  # at reading a folder in which a run is at work


@dataclass
class Run:
    """The folder of a run that has something new.

    Attributes:
        name: of the folder, from results/ on.
        files: content by name, from results/ on.
    """

    name: str
    files: dict[str, bytes]

    @property
    def urgency(self) -> tuple[bool, int, str]:
        """Runs under way before finished ones, then by phase."""
        under_way = any(file.endswith(f"/{CHECKPOINT}") for file in self.files)
        return not under_way, PHASES.index(self.phase), self.name

    @property
    def phase(self) -> str:
        """Such as "teacher"."""
        return self.name.split("/")[2]


@dataclass
class Packed:
    """What goes to OUT, and what does not.

    Attributes:
        files: content by name in OUT.
        left_out: names of runs that no longer fit.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def note(project: Path, scale: str) -> None:
    """Remember the artifacts that are there, so that they are not packed again."""
    before = {name: _stamp(file) for name, file in _artifacts(project, scale)}
    write_json(project / NOTED, {"before": before})


def pack(project: Path, scale: str, out: Path) -> list[str]:
    """Write what is new since `note`, whole file by whole file; returns what was left out."""
    # Records before artifacts: a run writes its record last, so each one here has its artifacts.
    records = _tar(_records(project, scale))
    packed = fit(changed_runs(project, scale), MOST_BYTES - len(records))
    for name, content in {RECORDS: records, **packed.files}.items():
        write_bytes(out / name, content)
    for pattern in (RUNS, PARTS):
        for file in out.glob(pattern):
            if file.name not in packed.files:
                file.unlink()
    return packed.left_out


def fit(runs: Iterable[Run], most_bytes: int) -> Packed:
    """Share runs out among as many files as may be; large ones get files of their own, in pieces.

    Args:
        runs: in any order.
        most_bytes: of all files.
    """
    packed, bins = Packed(), list[dict[str, bytes]]()
    for run in sorted(runs, key=lambda run: run.urgency):
        size = _most(run.files)
        room = most_bytes - sum(map(len, packed.files.values())) - sum(map(_most, bins))
        free = MOST_FILES - len(packed.files) - len(bins)
        place = next((b for b in bins if _most(b) + size <= PIECE), None)
        if size > room or free < (0 if place is not None else -(-size // PIECE)):
            packed.left_out.append(run.name)
        elif size > PIECE:
            whole, stem = _tar(run.files), f"{run.phase}-{run.name.rpartition('.')[2]}.tar"
            for k, start in enumerate(range(0, len(whole), PIECE)):
                packed.files[f"{stem}.{k:02}"] = whole[start : start + PIECE]
        elif place is not None:
            place |= run.files
        else:
            bins.append(dict(run.files))
    for k, content in enumerate(bins):
        packed.files[f"runs-{k}.tar"] = _tar(content)
    return packed


def unpack(folder: Path, project: Path) -> int:
    """Put all that `pack` wrote into the project's results; returns the number of archives."""
    pieces: dict[str, list[Path]] = {}
    for pattern in (RECORDS, RUNS, PARTS):
        for file in sorted(folder.glob(pattern)):
            stem = file.name.partition(".tar")[0]
            pieces.setdefault(stem, []).append(file)
    for files in pieces.values():
        content = b"".join(file.read_bytes() for file in files)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(project / "results", filter="data")
    return len(pieces)


def changed_runs(project: Path, scale: str) -> Iterator[Run]:
    """The runs that have a file which was not there, or was another one, when `note` was called."""
    noted = project / NOTED
    before = json.loads(noted.read_text())["before"] if noted.exists() else {}
    changed = {
        Path(name).parents[-6].as_posix()  # scale/artifacts/phase/data set/cell
        for name, file in _artifacts(project, scale)
        if before.get(name) != _stamp(file)
    }
    for name in sorted(changed):
        yield Run(name, _contents(project / "results", name))


def _contents(results: Path, name: str) -> dict[str, bytes]:
    """The files of one folder, all of one moment although a run may be at work in it."""
    for _ in range(TRIES):
        names = _visible(results / name)
        try:
            files = {n.relative_to(results).as_posix(): n.read_bytes() for n in names}
        except FileNotFoundError:
            continue
        if names == _visible(results / name):
            return files
    return {}


def _visible(folder: Path) -> list[Path]:
    """Files of a folder but those that are being written and locks, whose names have a dot.

    Nor the checkpoint before the last, where that is there: what is packed has checksums, and room
    for one.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_spare(p))
    return [f for f in files if not any(p.startswith(".") for p in f.relative_to(folder).parts)]


def _is_spare(file: Path) -> bool:
    """Whether it is a checkpoint with a later one beside it."""
    return file.name == PREVIOUS and file.with_name(CHECKPOINT).exists()


def _artifacts(project: Path, scale: str) -> Iterator[tuple[str, Path]]:
    """Files of artifacts by name from results/ on; prepared data are made again where needed."""
    results = project / "results"
    for phase in PHASES:
        for file in _visible(results / scale / "artifacts" / phase):
            yield file.relative_to(results).as_posix(), file


def _records(project: Path, scale: str) -> dict[str, bytes]:
    """All records, and what is said of runs that diverged."""
    results = project / "results"
    folders = [results / scale / kind for kind in ("records", "diverged")]
    files = [file for folder in folders for file in _visible(folder)]
    return {file.relative_to(results).as_posix(): file.read_bytes() for file in files}


def _stamp(file: Path) -> list[int]:
    """Size and time of a file; zeros where it went away meanwhile."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def _most(files: dict[str, bytes]) -> int:
    """At most so many bytes has the archive of these contents."""
    return BLOCK * 20 + sum(len(content) + 5 * BLOCK for content in files.values())


def _tar(files: dict[str, bytes]) -> bytes:
    """An archive of these contents."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def main(command: str, *words: str) -> None:
    """Do one command of the command line."""
    if command == "note":
        note(Path(words[0]), words[1])
    elif command == "pack":
        for name in pack(Path(words[0]), words[1], Path(words[2])):
            print(f"left out, does not fit: {name}")
    elif command == "unpack":
        print(f"unpacked {unpack(Path(words[0]), Path(words[1]))} archives")
    else:
        sys.exit(f"slices.py: found {command!r}, expected note, pack or unpack")


if __name__ == "__main__":
    main(*sys.argv[1:])
