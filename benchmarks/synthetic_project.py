"""Projects of any size whose runs are finished by made-up records, and commands timed in them."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/report")]  # who makes records up

from synthetic import fill  # noqa: E402

from kdbench.exhibits.tables import Table  # noqa: E402
from kdbench.papers import catalogue  # noqa: E402
from kdbench.plan.graph import Graph, load_graph  # noqa: E402
from kdbench.store.paths import Paths  # noqa: E402

FILES = ("Snakefile", "rules", "kdbench")
# Records that are made up have what classification measures.
MADE_UP = ["cifar10", "cifar100", "cinic10", "imagenet", "tinyimagenet-224", "cifar100-224"]


def project(folder: Path, seeds: int | None, *, everything: bool = False) -> Graph:
    """A project at scale paper with so many students per cell; returns its plan.

    Args:
        folder: gets params.yaml and what Snakemake needs.
        seeds: students of a cell; None for what the exhibits ask for.
        everything: figures and other tasks too, whose runs nobody makes up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = [one.id for one in catalogue() if isinstance(one, Table)]
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    written |= {"scale": "paper", "seeds": seeds, "exhibits": ["all"] if everything else tables}
    if not everything:
        written["datasets"] = MADE_UP
    (folder / "params.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    for name in FILES:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return load_graph(folder)


def finish(graph: Graph, folder: Path) -> int:
    """Write made-up records of all runs of its tables; returns how many."""
    return fill(graph, Paths(folder))


def timed(words: Sequence[str], folder: Path) -> dict[str, float]:
    """Seconds of a command by the clock, and of the CPU.

    Raises:
        RuntimeError: it failed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        words,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stdout[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = time.perf_counter() - begun
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}
