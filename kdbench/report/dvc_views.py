"""What DVC's own commands show: metrics.json and a curve per cell, small and in git.

`dvc metrics diff` and `dvc plots diff` compare files of one name across commits, so names hold no
digest: a changed parameter is the same cell, before and after.
"""

import json
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from kdbench.exhibits.tasks import score_curve
from kdbench.report.readings.lines import Line
from kdbench.report.readings.records import Record
from kdbench.store.record import thinned
from kdbench.store.spec import RunSpec

METRICS = "metrics.json"
CURVES = "curves"
MOST_POINTS = 50
DIGITS = 4


def dvc_files(lines: Iterable[Line]) -> dict[str, bytes]:
    """The metrics of all finished cells, and the task's score by epoch of their trainings.

    Args:
        lines: cells of every table of a report.

    Returns:
        Contents by path inside the report's folder.
    """
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    files: dict[str, bytes] = {}
    most: dict[str, int] = {}  # runs behind a curve
    for line in lines:
        if line.result.ours is None or line.evaluation is None:
            continue
        row = metrics.setdefault(line.table.id, {}).setdefault(line.row, {})
        row[line.head] = round(line.result.ours.mean, DIGITS)
        path = f"{CURVES}/{_name(line)}.csv"
        if (points := mean_curve(line.runs)) and len(line.runs) > most.get(path, 0):
            files[path] = _csv(score_curve(line.runs[0][0].task), points)
            most[path] = len(line.runs)
    text = json.dumps(metrics, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return {METRICS: text.encode(), **dict(sorted(files.items()))}


def mean_curve(runs: Iterable[tuple[RunSpec, Record | None]]) -> list[tuple[float, float]]:
    """Epoch and the runs' mean score, where every run was measured; in its own unit, thinned.

    The score is that of the task: top-1 and mIoU in percent, RMSE in metres.
    """
    curves = [
        _curve(record.content.get("curves") or {}, score_curve(run.task))
        for run, record in runs
        if record
    ]
    if not curves:
        return []
    shared = sorted(set.intersection(*({*curve} for curve in curves)))
    means = [(epoch, fmean(curve[epoch] for curve in curves)) for epoch in shared]
    return thinned(means, MOST_POINTS)


def _curve(curves: Mapping[str, Any], name: str) -> dict[float, float]:
    """A curve's value by epoch, of one run; none where a record has no such curve."""
    epochs, values = curves.get("epoch") or [], curves.get(name) or []
    pairs = zip(epochs, values, strict=False)
    return {float(epoch): float(value) for epoch, value in pairs if value is not None}


def _name(line: Line) -> str:
    """Data set, cell and the protocol's first words.

    Tables that take the same cell over other numbers of seeds share a curve: that of the most.
    """
    run = line.runs[0][0]
    cell = line.evaluation.cell if line.evaluation else ""
    protocol, _, _ = run.protocol.partition(",")  # how images are cut and measured comes after it
    return f"{run.dataset}-{cell}-{protocol}".replace(" ", "-")


def _csv(curve: str, points: Iterable[tuple[float, float]]) -> bytes:
    lines = [f"epoch,{curve}"]
    lines += [f"{epoch:g},{round(value, DIGITS):g}" for epoch, value in points]
    return ("\n".join(lines) + "\n").encode()
