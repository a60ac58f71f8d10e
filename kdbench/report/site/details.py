"""What a cell opens to: its runs, classes, configuration, teacher, cost, and how to make it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kdbench.exhibits.tasks import SCORES
from kdbench.plan.graph import Graph
from kdbench.report.readings.lines import RULES, Line, command_of, params_of, redo_of
from kdbench.report.readings.records import Record, Records
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, TaughtRun
from kdbench.store.teacher_runs import ImportedTeacher

MOST_POINTS = 120  # of a curve: more than a screen shows
HIDDEN = ("epoch",)


@dataclass(frozen=True)
class Seed:
    """One run of a cell.

    Attributes:
        values: by epoch rule, in the metric's unit; None where it was not measured.
        best_epoch: of the best weights on the test set.
        facts: device, commit and so on, by what they are.
        seconds, step: device work of the training, and of one step of it.
        memory: largest peak, in bytes.
    """

    number: str
    values: Mapping[str, float | None]
    best_epoch: Any
    facts: Mapping[str, str]
    seconds: float | None
    step: float | None
    memory: float | None
    record: str


@dataclass(frozen=True)
class Teacher:
    """The network that a cell's students learned from.

    Attributes:
        epoch: at which its weights were taken; "" for an imported one.
        score: its task's score at that epoch as printed, from its training's record; "" without
            one.
    """

    label: str
    epoch: str
    score: str
    record: str


@dataclass(frozen=True)
class Detail:
    """Everything that the open cell shows.

    Attributes:
        classes: accuracy of every class, mean over the runs at the protocol's rule.
        configuration: what the first run was given, flattened, by dotted key.
        curves: per run, per name, the points (epoch, value).
        latency: milliseconds of a forward pass of one image and of a batch, whose size the name
            has, as recorded: the median, and the distance of the quartiles where it is known.
        reasons: why the number may differ from the published one.
        command, again: make what is missing of it, or its finished trainings and their evaluation.
    """

    line: Line
    seeds: Sequence[Seed]
    classes: Sequence[tuple[str, float]]
    configuration: Mapping[str, str]
    teacher: Teacher | None
    curves: Sequence[Mapping[str, Any]]
    parameters: float | None
    macs: float | None
    latency: Mapping[str, tuple[float, float | None]]
    reasons: Sequence[str]
    params: str
    command: str
    again: str


def read_detail(graph: Graph, line: Line, records: Records, reasons: Sequence[str] = ()) -> Detail:
    """The detail of a cell that has a planned evaluation; what no record says is empty."""
    evaluation = line.evaluation
    assert evaluation is not None
    record = records.get(evaluation)
    metrics: Mapping[str, Any] = record.content.get("metrics", {}) if record else {}
    return Detail(
        line,
        _seeds(line, records, metrics),
        _classes(metrics, line.reported),
        _configuration(evaluation.first),
        _teacher(evaluation, records),
        [_curves(run, training) for run, training in line.runs if training],
        _number(metrics, "parameters"),
        _number(metrics, "macs"),
        _latency(metrics),
        [*reasons, *(record.content.get("notes", []) if record else [])],
        params_of(line, graph),
        command_of(graph, records, records.relative(evaluation)),
        redo_of(graph, records, [run for run, _ in line.runs], evaluation),
    )


def _number(content: Any, *keys: str) -> float | None:
    """A number under nested keys; None where a record of an older version has none."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    fit = isinstance(content, int | float) and not isinstance(content, bool)
    return float(content) if fit else None


def _seeds(line: Line, records: Records, metrics: Mapping[str, Any]) -> list[Seed]:
    rows = metrics.get("runs", [])
    return [
        _seed(line, place, run, training, rows[place] if place < len(rows) else {}, records)
        for place, (run, training) in enumerate(line.runs)
    ]


def _seed(
    line: Line, place: int, run: RunSpec, training: Record | None, row: Any, records: Records
) -> Seed:
    content: Mapping[str, Any] = training.content if training else {}
    seconds, steps = _number(content, "cost", "seconds"), _number(content, "cost", "steps")
    return Seed(
        str(getattr(run, "seed", place)),
        {rule: _value(line, rule, place) for rule in RULES},
        (row.get("best") or {}).get("epoch") if isinstance(row, Mapping) else None,
        _facts(content.get("provenance", {})),
        seconds,
        seconds / steps if seconds and steps else None,
        _number(content, "cost", "peak_memory_bytes"),
        records.relative(run),
    )


def _value(line: Line, rule: str, place: int) -> float | None:
    """Of one run; None where it was not measured."""
    measured = line.measured.get(rule)
    return measured.values[place] if measured and place < len(measured.values) else None


def _facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Device, commit, precision, versions and dates, as far as the record has them."""
    commit = str(provenance.get("commit") or "")[:10]
    if commit and provenance.get("dirty"):
        commit += " with uncommitted changes"
    versions = provenance.get("versions") or {}
    facts = {
        "device": provenance.get("device"),
        "commit": commit,
        "precision": provenance.get("precision"),
        "torch": versions.get("torch") if isinstance(versions, Mapping) else None,
        "finished": provenance.get("finished"),
    }
    return {key: str(value) for key, value in facts.items() if value}


def _classes(metrics: Mapping[str, Any], rule: str) -> list[tuple[str, float]]:
    """Means over the runs, worst class first; none where a record has no accuracies by class."""
    names = metrics.get("classes") or []
    accuracies = [(run.get(rule) or {}).get("by_class") for run in metrics.get("runs", [])]
    rows = [row for row in accuracies if row]
    if not names or not rows or len(rows) < len(accuracies):
        return []
    columns = [[row[i] for row in rows if row[i] is not None] for i in range(len(names))]
    means = [(str(name), fmean(c)) for name, c in zip(names, columns, strict=True) if c]
    return sorted(means, key=lambda pair: (pair[1], pair[0]))


def _configuration(run: RunSpec) -> dict[str, str]:
    described = run.as_dict()
    if isinstance(run, ImportedTeacher):  # its recipe says how it is measured, not how it was made
        described["params"].pop("recipe", None)
    flat = dict(_flattened(described["params"]))
    return flat | {f"revision of {k}": str(v) for k, v in described["revisions"].items()}


def _flattened(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(value, Mapping):
        return [(prefix, "none" if value is None else str(value))]
    inner = [(f"{prefix}.{key}" if prefix else str(key), part) for key, part in value.items()]
    return [pair for key, part in inner for pair in _flattened(part, key)]


def _teacher(evaluation: EvaluationRun, records: Records) -> Teacher | None:
    first = evaluation.first
    if not isinstance(first, TaughtRun) or first.teacher is None:
        return None
    record = records.get(first.teacher)
    metric, epoch = SCORES[first.task], first.teacher_epoch
    value = _number(record.content, "metrics", epoch, metric.key) if record else None
    score = f"{metric.label} {metric.shown(value):.2f} {metric.unit}" if value is not None else ""
    epoch = "" if isinstance(first.teacher, ImportedTeacher) else epoch
    return Teacher(first.teacher.network.label, epoch, score, records.relative(first.teacher))


def _curves(run: RunSpec, training: Record) -> dict[str, Any]:
    """A run's curves, thinned: names with their points."""
    curves = training.content.get("curves") or {}
    epochs = curves.get("epoch") or []
    stride = max(1, -(-len(epochs) // MOST_POINTS))
    series = {
        str(name): _points(epochs, values, stride)
        for name, values in curves.items()
        if name not in HIDDEN and isinstance(values, list) and len(values) == len(epochs)
    }
    return {"seed": str(getattr(run, "seed", "")), "series": series}


def _points(epochs: Sequence[float], values: Sequence[Any], stride: int) -> list[list[float]]:
    """Known points, every so many, and always the last one."""
    known = [(e, v) for e, v in zip(epochs, values, strict=True) if isinstance(v, int | float)]
    chosen = known[::stride]
    if known and chosen[-1] is not known[-1]:
        chosen.append(known[-1])
    return [[round(float(e), 3), _short(float(v))] for e, v in chosen]


def _short(value: float) -> float:
    """A number with the digits that a chart shows."""
    return round(value, 3) if abs(value) >= 1 else float(f"{value:.5g}")


def _latency(metrics: Mapping[str, Any]) -> dict[str, tuple[float, float | None]]:
    """Milliseconds by what they are of; a budget may have cut the batch of 128 to one image."""
    size = _number(metrics, "latency", "batch128", "batch")
    many = "a batch" if size is None else f"a batch of {size:.0f}"
    batches = {"one image": "batch1", **({many: "batch128"} if size != 1 else {})}
    times = {}
    for name, key in batches.items():
        median, spread = (_number(metrics, "latency", key, f"{w}_ms") for w in ("median", "spread"))
        if median is not None:
            times[name] = (median, spread)
    return times
