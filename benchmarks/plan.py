"""How long planning takes: Snakemake does it at every call. Run: python benchmarks/plan.py.

Prints the best and the median of repeated builds, each with all digests: of everything at the paper
scale, and of a synthetic plan of 5,000 runs (one table with many seeds). The aim is under 0.2 s for
each.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from kdbench.exhibits.tables import Table
from kdbench.papers import catalogue
from kdbench.plan.components import find_components
from kdbench.plan.graph import Graph, load_graph, make_graph
from kdbench.plan.params import Params

AIM = 0.2  # seconds
ROOT = Path(__file__).parents[1]


def paper() -> Graph:
    """Everything, as published."""
    return make_graph(Params(scale="paper"))


def shipped() -> Graph:
    """The repository's params.yaml, read from disk."""
    return load_graph(ROOT)


def synthetic(runs: int = 5000) -> Graph:
    """The table of the paper scale with so many seeds that there are `runs` runs or a few more."""
    (table,) = (e for e in catalogue() if isinstance(e, Table) and e.id == "distpro/table1")
    alone = make_graph(Params(scale="paper", exhibits=[table.id]))
    students = sum(spec.phase == "student" for spec in alone.runs.values())
    others = len(alone.runs) - students
    seeds = -(-(runs - others) * table.seeds // students)
    exhibits = [replace(table, seeds=seeds)]
    return Graph(Params(scale="paper"), find_components(), exhibits)


def timed(make: Callable[[], Graph], repeats: int) -> tuple[int, list[float]]:
    """Number of runs, and seconds of each repeat."""
    seconds, runs = [], 0
    for _ in range(repeats):
        begun = time.perf_counter()
        runs = len(make().runs)
        seconds.append(time.perf_counter() - begun)
    return runs, seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10, help="builds of each plan")
    repeats = parser.parse_args().repeats
    print(f"{'plan':12} {'runs':>6} {'best, s':>9} {'median, s':>10}   aim {AIM} s")
    slow = False
    for make in (shipped, paper, synthetic):
        runs, seconds = timed(make, repeats)
        slow |= min(seconds) > AIM
        print(f"{make.__name__:12} {runs:6} {min(seconds):9.3f} {median(seconds):10.3f}")
    sys.exit("slower than the aim" if slow else 0)


if __name__ == "__main__":
    main()
