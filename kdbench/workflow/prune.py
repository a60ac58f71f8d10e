"""Drops what no exhibit of today's params.yaml needs: `kdbench prune`, first as a list.

Of one scale only, and never what a table of the user's own in params.yaml needs, whether or not
`exhibits` names it today. DVC's copy of artifacts stays: its `.dvc` file says what it holds.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kdbench.plan.graph import Graph, make_graph
from kdbench.plan.params import OWN
from kdbench.store.artifacts import LOCK
from kdbench.store.locks import is_held
from kdbench.store.paths import Paths

Say = Callable[[str], None]


@dataclass(frozen=True)
class Leftover:
    """One run's files that nothing of today needs.

    Attributes:
        title: phase, data set, cell and digest.
        files: records, folders of artifacts, logs and marks that go.
        size: bytes of them.
        remarks: what a reader must know before they go.
    """

    title: str
    files: tuple[Path, ...]
    size: int
    remarks: tuple[str, ...]


def prune(graph: Graph, paths: Paths, say: Say, *, delete: bool) -> int:
    """List what nothing needs, or delete it.

    Args:
        graph: the plan of today's params.yaml.
        paths: of the project.
        say: prints one line.
        delete: whether to delete; otherwise the lines say what would go.

    Returns:
        How many runs went, or would go.
    """
    leftovers = list(find_leftovers(graph, paths))
    for one in leftovers:
        remarks = "".join(f"; {remark}" for remark in one.remarks)
        say(f"{one.title}: {_size_text(one.size)}{remarks}")
        for file in one.files:
            say(f"  {file}")
        if delete:
            _delete(one)
    total, count = _size_text(sum(one.size for one in leftovers)), len(leftovers)
    runs = "1 run" if count == 1 else f"{count} runs"
    verb = "deleted" if delete else "would be deleted; --yes deletes them"
    if leftovers:
        say(f"scale {graph.scale.name}: {runs}, {total}, {verb}")
    else:
        say(f"scale {graph.scale.name}: the current params.yaml needs every run here")
    return count


def find_leftovers(graph: Graph, paths: Paths) -> Iterator[Leftover]:
    """Runs of the plan's scale that no exhibit of it needs, nor any table of the user's own."""
    scale = graph.scale.name
    needed = {*graph.runs, *_needed_by_own_tables(graph)}
    names = _files_by_run(paths, scale)
    digests = {name: name.rpartition(".")[2] for _, _, name in names}
    uncommitted = _not_committed(paths)
    for (phase, dataset, name), files in sorted(names.items()):
        if digests[name] in needed or any(
            is_held(path / LOCK, without_locks=True) for path in files
        ):
            continue
        copy = paths.tracked(scale, phase, dataset) / name
        record = paths.folders(scale, phase, dataset)[0] / f"{name}.json"
        remarks = [f"DVC's copy stays: {copy}"] if copy.is_dir() else []
        if record.is_file() and (uncommitted is None or record.resolve() in uncommitted):
            remarks.append("its record is in no commit and cannot be recovered")
        if record not in files:
            remarks.append("unfinished")
        yield Leftover(
            f"{phase} {dataset} {name}", tuple(files), sum(map(_size, files)), tuple(remarks)
        )


def _needed_by_own_tables(graph: Graph) -> set[str]:
    """Digests of the runs behind all tables of params.yaml, whatever its filters say."""
    params = graph.params
    if not params.tables:
        return set()
    whole = {"exhibits": [OWN], "pairs": [], "methods_only": []}
    return {*make_graph(params.model_copy(update=whole)).runs}


def _files_by_run(paths: Paths, scale: str) -> dict[tuple[str, str, str], list[Path]]:
    """Files and folders of every run of a scale, by phase, data set and `cell.digest`."""
    runs: dict[tuple[str, str, str], list[Path]] = {}
    for kind, suffix in paths.kinds_of_files(scale).items():
        for path in sorted(kind.glob("*/*/*")):
            phase, dataset, name = path.relative_to(kind).parts
            if name.endswith(suffix) and not name.startswith("."):
                runs.setdefault((phase, dataset, name.removesuffix(suffix)), []).append(path)
    return {run: files for run, files in runs.items() if _is_of_run(run[2])}


def _is_of_run(name: str) -> bool:
    digest = name.rpartition(".")[2]
    return len(digest) == 12 and all(letter in "0123456789abcdef" for letter in digest)


def _not_committed(paths: Paths) -> set[Path] | None:
    """Files of results that git does not hold as they are; None where it holds none."""
    words = ["git", "status", "--porcelain", "-z", "--ignored", "--untracked-files=all", "--"]
    try:
        call = subprocess.run(
            [*words, str(paths.results.resolve())],
            cwd=paths.root,
            capture_output=True,
            text=True,
        )
        top = subprocess.run(
            ["git", "rev-parse", "--show-toplevel"], cwd=paths.root, capture_output=True, text=True
        )
    except OSError:
        return None
    if call.returncode or top.returncode:
        return None
    return {Path(top.stdout.strip(), entry[3:]) for entry in call.stdout.split("\0") if entry}


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _delete(one: Leftover) -> None:
    """Artifacts first, so that a call that is killed leaves a record rather than a lone folder."""
    for path in sorted(one.files, key=Path.is_file):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _size_text(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
