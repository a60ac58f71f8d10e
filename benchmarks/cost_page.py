"""Write docs/cost.md: what scale paper computes, exhibit by exhibit, counted and never timed.

    python benchmarks/cost_page.py

Steps come from the recipes and the declared sizes of the data sets. Multiply-adds are counted in
real steps on a few random images, which takes a quarter of an hour on two cores; `--steps` leaves
them out and takes seconds. Hours depend on a machine: `kdbench estimate` gives them for yours.
"""

import argparse
import platform
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from kdbench.console import say
from kdbench.exhibits.tables import Exhibit
from kdbench.papers import catalogue
from kdbench.plan.components import find_components
from kdbench.plan.graph import Graph, make_graph
from kdbench.plan.params import Params
from kdbench.runs.estimate.lengths import data_size, length_of
from kdbench.runs.estimate.measure import Budget, measure
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun
from kdbench.workflow.estimate_text import si

PAGE = Path(__file__).parents[1] / "docs/cost.md"
NOWHERE = Paths(Path("/nonexistent"))  # no run is finished
HEAD = """# What scale paper computes

Written by `python benchmarks/cost_page.py{options}` with Python {python} and torch {torch}: the
page is counted, not timed, so it is the same on every machine. A run that several exhibits share
counts in each of them, and once in the total.

{table}

- *Runs* are data sets, teachers, searches, students and evaluations, as in `kdbench status`.
- *Training steps* are epochs times batches of an epoch, of trainings and searches, from the recipes
  and the declared sizes of the data sets{more}
- A search that ends early counts whole, and a student that a search will prune counts as its whole
  network: at most.
- *On request* are exhibits that `exhibits: [all]` leaves out.

## Hours, energy, memory and disk

They depend on the machine. `kdbench estimate` times real steps on random images there, with no data
set prepared and no file changed:

```sh
kdbench estimate all --scale paper                      # this machine, all its cores or GPUs
kdbench estimate distpro/table1 --scale paper --gpus 4  # one exhibit, on four GPUs like this one
kdbench estimate dfa --scale paper --device cuda --tflops 20 --watts 300   # a GPU that is not here
kdbench estimate dfa --scale paper --device h100        # the same from a known GPU's printed peak
```

`t4`, `v100`, `a100`, `rtx4090`, `h100` and `h200` are known (`kdbench/workflow/known_gpus.py`). A
printed peak in the scale's number format is never reached, so these hours are a lower bound, and
the output says so; `--tflops` takes a throughput that you measured. On an H100 steps of
WRN-40-2 -> WRN-16-2 in bf16 ran at 36 to 48 TFLOP/s ([performance.md](performance.md)), a twentieth
of its peak: `--device h100 --tflops 40` forecasts CIFAR-100's exhibits.

Each kind of work (networks, method or search, image, batch, number format, threads) is timed for
`--seconds` (2), the largest of every family of networks first, until `--minutes` (5) are over. The
others are scaled by their multiply-adds at the throughput of timed ones of the same networks; the
column "of that timed" and `--kinds` say which figures are which. With `--tflops` nothing is timed.
Energy is device hours at a power that the output states: nvidia-smi's limit for a GPU, 10 W per
core for a CPU, or `--watts`. Wall hours schedule the runs along their dependencies on `--cores` or
`--gpus`.

`--save` keeps the timings in `results/timings.json`, which git ignores. Jobs then ask their
scheduler for twice the time that was measured and 20 minutes, and on a CPU for one and a half times
the memory, in place of the declared figures ([clusters.md](clusters.md)). Jobs that run here take
the timings of this machine; those of a cluster the newest of the kind of device that they ask for.

No hours stand here: {no_hours}
"""
COUNTED = """. Where images are held out that
  stand twice in a data set, an epoch may have a step more or less.
- *Multiply-adds* are those of convolutions and matrix products, forwards and backwards, teachers
  and validation images included, as records have them; evaluations are not among them."""
NO_HOURS = """the only machine at hand was a shared one of two cores (AVX2, where bf16 is
emulated), and times that are taken beside other work say nothing."""


def whole_plan() -> Graph:
    """Every exhibit, those on request too."""
    exhibits = [exhibit.id for exhibit in catalogue()]
    components = find_components()
    datasets = [n for n in components.names("dataset") if not components.datasets[n][1].role]
    asked = {"scale": "paper", "exhibits": exhibits, "datasets": [*datasets]}
    return make_graph(Params.model_validate(asked))


def runs_of(graph: Graph, exhibit: Exhibit) -> dict[str, RunSpec]:
    """An exhibit's runs by digest."""
    return {s.digest: s for target in graph.behind(exhibit) for s in target.with_upstream()}


def rows(graph: Graph, counting: bool) -> list[list[Any]]:
    """A row per exhibit, and the total."""
    sizes = lambda run: data_size(run, graph.components, NOWHERE)  # noqa: E731
    every = graph.runs
    macs: dict[str, int] = {}
    steps = {
        digest: length.epochs * length.steps
        for digest, run in every.items()
        if isinstance(run, TeacherRun | SearchRun | StudentRun)
        for length in [length_of(run, sizes(run.data))]
    }
    if counting:
        budget = Budget(tflops=1.0)
        measured = measure(every.values(), sizes, NOWHERE, torch.device("cpu"), budget, say)
        steps = {digest: work.steps for digest, work in measured.work.items()}
        macs = {digest: work.macs for digest, work in measured.work.items()}

    def row(name: str, runs: dict[str, RunSpec]) -> list[Any]:
        cells = [name, f"{len(runs):,}", f"{sum(steps.get(digest, 0) for digest in runs):,}"]
        return [*cells, si(sum(macs[d] for d in runs if d in macs))] if counting else cells

    exhibits = [
        row(e.id + (" (on request)" if e.on_request else ""), runs_of(graph, e))
        for e in graph.exhibits
    ]
    return [*exhibits, row("**all of them**", every)]


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", action="store_true", help="leave multiply-adds out")
    counting = not parser.parse_args().steps
    headers = ["exhibit", "runs", "training steps", *(["multiply-adds"] if counting else [])]
    align = ["left", *["right"] * (len(headers) - 1)]
    table = tabulate(
        rows(whole_plan(), counting), headers, "github", disable_numparse=True, colalign=align
    )
    text = HEAD.format(
        options="" if counting else " --steps",
        python=platform.python_version(),
        torch=torch.__version__,
        table=table,
        more=COUNTED if counting else "; first parts of a training are not among them.",
        no_hours=NO_HOURS,
    )
    PAGE.write_text(text, encoding="utf-8")
    say(str(PAGE))


if __name__ == "__main__":
    main()
