"""How long a report takes, and how that grows: python benchmarks/report_speed.py.

Projects of made-up records at scale paper, and the committed records of scale lite with all their
figures. Each is reported three times by `kdbench report`, Python's start included: into an empty
folder, with nothing changed, and with one record changed. The aim is 20 s for 3,000 records.
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

from kdbench.plan.graph import load_graph
from kdbench.store.paths import Paths
from kdbench.store.record import write_record

SEEDS = (1, 3, 8, 16)
REPORT = ("python", "-m", "kdbench", "report")


def measure(name: str, records: int, folder: Path, scale: str) -> dict[str, Any]:
    """Report a project three times."""
    command = [*REPORT, "--scale", scale]
    first, again = timed(command, folder), timed(command, folder)
    touched = sorted((folder / f"results/{scale}/records/evaluation").glob("*/*.json"))[0]
    content = json.loads(touched.read_text(encoding="utf-8"))
    write_record(touched, {**content, "notes": ["changed"]})
    changed = timed(command, folder)
    files = [file for file in (folder / "reports").rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 2**20
    largest = max(file.stat().st_size for file in files if file.suffix == ".html") / 2**20
    return {
        "project": name,
        "records": records,
        "first": first,
        "again": again,
        "one record changed": changed,
        "report_mib": round(size, 1),
        "largest_page_mib": round(largest, 2),
    }


def rows(seeds: list[int], folder: Path) -> Iterator[dict[str, Any]]:
    """One per project."""
    yield lite(folder / "lite")
    for number in seeds:
        place = folder / f"seeds-{number}"
        count = finish(project(place, number), place)
        yield measure(f"made up, {number} seeds", count, place, "paper")
        shutil.rmtree(place)


def lite(folder: Path) -> dict[str, Any]:
    """The committed records of scale lite."""
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "results/lite/records", folder / "results/lite/records")
    graph, paths = load_graph(folder, {"scale": "lite"}), Paths(folder)
    count = sum(paths.record(run).is_file() for run in graph.runs.values())
    return measure("lite, as committed", count, folder, "lite")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="students a cell")
    parser.add_argument("--out", type=Path, help="folder of the JSON file; benchmarks/results")
    asked = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(asked.seeds, Path(folder)):
            print(json.dumps(row), flush=True)
            measured.append(row)
            place = write("report_speed", {"about": about(1), "rows": measured}, asked.out)
    print(place)


if __name__ == "__main__":
    main()
