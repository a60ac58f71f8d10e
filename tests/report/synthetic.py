"""Finishes every run of a plan with made-up records, as many and as long as real ones."""

import random
from collections.abc import Mapping
from typing import Any

from finished import dense
from made_up import provenance

from kdbench.plan.graph import Graph
from kdbench.report.readings.cells import published
from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, SearchRun

CLASSES = [f"class {i}" for i in range(10)]
TABLES = ["dfa/table1", "dfa/ablation", "distpro/table1", "distpro/table7", "ours/searches"]


def fill(graph: Graph, paths: Paths, *, share: float = 1.0, seed: int = 0, **more: Any) -> int:
    """Write records of a share of the cells with all that they need; returns how many.

    Args:
        graph: the plan, of tables alone: figures read more from searches.
        paths: of the project.
        share: of the cells.
        seed: of the numbers, which lie about the published ones.
        more: replaces parts of every record.
    """
    chance = random.Random(seed)
    written: dict[str, RunSpec] = {}
    for table in graph.tables():
        for cell in graph.cells[table.id]:
            if cell.evaluation is None or chance.random() > share:
                continue
            printed = published(graph, table, cell.row, cell.column)
            aim = table.metric.shown(printed.value) if printed else chance.uniform(70, 76)
            for spec in cell.evaluation.with_upstream():
                if spec.digest not in written:
                    write_record(paths.record(spec), {**record(spec, aim, chance), **more})
                    written[spec.digest] = spec
    return len(written)


def record(spec: RunSpec, aim: float, chance: random.Random) -> dict[str, Any]:
    """The record of a run whose accuracy is about `aim` percent."""
    epochs = getattr(getattr(spec, "recipe", None), "epochs", 0)
    top1 = aim + chance.gauss(0, 0.25)
    content: dict[str, Any] = {
        "spec": spec.as_dict(),
        "metrics": _both(top1),
        "curves": _curves(epochs, top1, chance),
        "cost": {"seconds": chance.uniform(1e3, 2e3), "steps": 390 * max(1, epochs)},
        "provenance": provenance(spec, finished="2026-01-02T03:04:05Z"),
        "artifacts": {},
        "notes": [],
    }
    content["cost"] |= {"peak_memory_bytes": 2**30, "wall_seconds": 2.1e3, "macs": 10**14}
    if isinstance(spec, EvaluationRun):
        runs = [_measured(run, aim + chance.gauss(0, 0.25), chance) for run in spec.runs]
        content["metrics"] = {"reported": spec.first.recipe.reported, "runs": runs}
        content["metrics"] |= {"classes": CLASSES, "parameters": 700_000, "macs": 10**8}
        latency = {"batch1": {"median_ms": 2.7}, "batch128": {"median_ms": 139.0}}
        content["metrics"]["latency"] = latency
    if isinstance(spec, SearchRun):
        content["structure"] = {"met": True, "connections": dense()}
    return content


def _both(top1: float) -> dict[str, Any]:
    top5 = (100 + top1) / 2
    return {
        "last": {"top1": top1 - 0.2, "top5": top5 - 0.2, "epoch": 9},
        "best": {"top1": top1, "top5": top5, "epoch": 8},
    }


def _measured(run: RunSpec, top1: float, chance: random.Random) -> Mapping[str, Any]:
    classes = [top1 + chance.gauss(0, 5) for _ in CLASSES]
    both = _both(top1)
    measured = {rule: {**one, "by_class": classes} for rule, one in both.items()}
    seed = getattr(run, "seed", None)
    return {"cell": run.cell, "digest": run.digest, "seed": seed, "selected": None, **measured}


def _curves(epochs: int, top1: float, chance: random.Random) -> dict[str, list[float]]:
    steps = list(range(1, epochs + 1))
    rising = [top1 * (1 - 0.8 / step) + chance.gauss(0, 0.3) for step in steps]
    return {"epoch": steps, "task": [4 / step for step in steps], "test_top1": rising}
