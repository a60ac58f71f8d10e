"""How long planning takes, and how that grows: python benchmarks/plan_speed.py.

`snakemake -n` of everything at scale paper with ever more students per cell, of a fresh project and
of a finished one, beside a Snakefile of one rule with as many jobs and no input, which is what
Snakemake itself takes; and `dvc repro` with nothing to do. Python's start is included. The aims:
2.5 s for some thousand runs, 25 s for 30,000 runs, 3 s for DVC.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import about, write
from synthetic_project import ROOT, finish, project, timed

from kdbench.store.paths import Paths

SEEDS = (0, 20, 60, 100)
DRY = ("snakemake", "--cores", "2", "reproduce_all", "--dry-run", "--quiet")
BARE = """
rule reproduce_all:
    input: [f"{{number}}.json" for number in range({count})]
rule job:
    output: "{{number}}.json"
    shell: "touch {{output}}"
"""
REPRO = ("dvc", "repro", "--quiet")


def plans(seeds: list[int], folder: Path) -> Iterator[dict[str, Any]]:
    """One row per size."""
    for number in seeds:
        place = folder / f"seeds-{number}"
        graph, paths = project(place, number or None, everything=True), Paths(place)
        fresh = timed(DRY, place)
        for run in graph.runs.values():  # a dry run looks whether they are there
            paths.record(run).parent.mkdir(parents=True, exist_ok=True)
            paths.record(run).touch()
        finished = timed(DRY, place)
        times = {"fresh": fresh, "done": finished, "bare": bare(len(graph.runs), folder / "bare")}
        yield {"what": "snakemake -n", "runs": len(graph.runs), **times}
        shutil.rmtree(place)


def bare(count: int, folder: Path) -> dict[str, float]:
    """The same command with so many jobs of the simplest kind."""
    folder.mkdir(exist_ok=True)
    (folder / "Snakefile").write_text(BARE.format(count=count), encoding="utf-8")
    return timed(DRY, folder)


def dvc(seeds: int, folder: Path) -> dict[str, Any]:
    """`dvc repro` of a finished project, after one that took note of it."""
    place = folder / "dvc"
    graph = project(place, seeds)
    finish(graph, place)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, place / name)
    (place / "kdbench").unlink()
    shutil.copytree(ROOT / "kdbench", place / "kdbench", ignore=shutil.ignore_patterns("*.pyc"))
    for words in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        timed(words, place)
    first = timed(REPRO, place)
    return {
        "what": "dvc repro",
        "runs": len(graph.runs),
        "fresh": first,
        "done": timed(REPRO, place),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="0: as published")
    parser.add_argument("--dvc", type=int, nargs="*", default=[1, 4], help="seeds for DVC's rows")
    parser.add_argument("--out", type=Path, help="folder of the JSON file; benchmarks/results")
    asked = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for row in plans(asked.seeds, Path(folder)):
            print(json.dumps(row), flush=True)
            measured.append(row)
        for number in asked.dvc:
            place = Path(folder) / str(number)
            place.mkdir()
            measured.append(dvc(number, place))
            print(json.dumps(measured[-1]), flush=True)
    print(write("plan_speed", {"about": about(1), "rows": measured}, asked.out))


if __name__ == "__main__":
    main()
