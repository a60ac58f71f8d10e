"""Finishes the runs of figures in a project with made-up records, and draws the figures."""

import csv
import io
from typing import Any
from unittest.mock import patch

from kdbench.plan.params import DATASETS
from kdbench.report.readings.records import Records
from kdbench.report.render import render

TRANSFORMS = ("2conv", "3conv", "complex")
ALL = [*DATASETS]


def plan_of(project: Any, *exhibits: str, scale: str = "paper", **params: Any) -> Any:
    """A project with the given exhibits alone."""
    return project(scale=scale, exhibits=list(exhibits), datasets=ALL, **params)


def evaluate(plan: Any, spec: Any, top1: list[float], **metrics: Any) -> Any:
    """Finish an evaluation whose runs have these accuracies at the epoch that is reported."""
    runs = [
        {"seed": seed, "last": {"top1": value}, "best": {"top1": value, "epoch": 2}}
        for seed, value in enumerate(top1)
    ]
    common = {"reported": "last", "runs": runs, "parameters": 800_000, "macs": 88_000_000}
    return plan.write(spec, {**common, "flops_with_elements": 90_000_000, **metrics})


def search(plan: Any, spec: Any, names: list[str], rows: list[list[float]], **more: Any) -> Any:
    """Finish a search with a row of weights at every step."""
    process = {"pathways": names, "weights": rows, "alphas": rows}
    process |= {"steps": list(range(len(rows))), "total_steps": len(rows)}
    return plan.write(spec, process=process, **more)


def dense(layers: int = 3, entry: int = 4, growth: int = 2, gone: Any = ()) -> dict[str, Any]:
    """Connections of three dense blocks; `gone` holds (block, layer or "end", source) removed."""
    connections: dict[str, dict[str, list[int]]] = {}
    for block in (1, 2, 3):
        place = f"trunk.stage{block}"
        first = "trunk.stem.blocks.0" if block == 1 else f"{place}.entry.0"

        def left(reader: Any, source: Any, count: int, block: int = block) -> list[int]:
            return [count, 0 if (block, reader, source) in gone else count]

        for layer in range(layers):
            makers = {first: left(layer, "in", entry)}
            makers |= {f"{place}.blocks.{i}": left(layer, i, growth) for i in range(layer)}
            connections[f"{place}.blocks.{layer}.norm1"] = makers
            connections[f"{place}.blocks.{layer}.norm2"] = {f"{place}.blocks.{layer}.conv1": [8, 1]}
        end = {first: left("end", "in", entry)}
        end |= {f"{place}.blocks.{i}": left("end", i, growth) for i in range(layers)}
        connections[f"{place}.norm"] = end
    return connections


def carve(plan: Any, spec: Any, *, met: bool = True, epochs: float = 30.0, **more: Any) -> Any:
    """Finish a search for a smaller network, of 10 steps per epoch, 100 epochs at most."""
    ended = -int(-epochs // 1) if met else 100
    structure = {
        "met": met,
        "met_at": round(10 * epochs) if met else None,
        "epoch": ended,
        "steps": 10 * ended,
        "planned_steps": 1000,
        "largest_kl": 1.5,
        "kl0": 0.0,
        "loss_to_penalty": 0.5,
        "pace": {"lr": 0.3, "price": 0.02},
        "kept": {"norm": "f"},
        "readers": {"norm": {"before": 8, "after": 4, "dropped": 0.5}},
        "penalty_alone": {"share": 0.3, "connections": dense()},
        "after": {"flops_with_elements": 89_500_000},
        "connections": dense(),
        **more,
    }
    return plan.write(spec, structure=structure)


def rendered(plan: Any, exhibit_id: str) -> Any:
    """What the report makes of one exhibit."""
    (exhibit,) = (one for one in plan.graph.exhibits if one.id == exhibit_id)
    return render(exhibit, plan.graph, Records(plan.paths))


def without_image(plan: Any, exhibit: str) -> Any:
    """The same with empty images: drawing them is most of the work."""
    with patch("kdbench.report.figures.drawing._bytes", return_value=b""):
        return rendered(plan, exhibit)


def body_of(plan: Any, exhibit: str) -> str:
    """The section of one exhibit in the index."""
    return without_image(plan, exhibit).body


def lines_of(plan: Any, exhibit: str) -> list[dict[str, str]]:
    """The CSV of one exhibit."""
    files = without_image(plan, exhibit).files
    (content,) = (c for name, c in files.items() if name.endswith("csv"))
    return list(csv.DictReader(io.StringIO(content.decode())))


def finished_runs(plan: Any, exhibit: str) -> dict[Any, Any]:
    """Finished (specification, record) of a figure, by its keys."""
    return dict(Records(plan.paths).finished(plan.graph.drawn[exhibit]))
