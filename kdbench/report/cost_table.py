"""What every method costs beside what it gains: a table without an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from kdbench.plan import exhibits
from kdbench.plan.exhibits import TOP1
from kdbench.plan.graph import Graph
from kdbench.plan.spec import RunSpec
from kdbench.report.drawing import Drawn, csv_bytes, pipe
from kdbench.report.markdown import number
from kdbench.report.read import Record, Records, State
from kdbench.report.statistics import Summary, summarise
from kdbench.report.tables import reported

if TYPE_CHECKING:
    import pandas as pd

LOOKS_UPSTREAM = True  # students and searches stand behind the evaluations
HOUR, GIB, TERA = 3600.0, 2.0**30, 1e12
NOTE = (
    "Hours, multiply-adds and memory are those of one student's training and of the searches that "
    "it needs, without its teacher's training; multiply-adds are counted in the first step of "
    "every epoch, backward passes included; a gain is over the row {baseline}. Times are of the "
    "device named below; CPU times taken on a machine that other work shares are not comparable "
    "with one another."
)


@dataclass(frozen=True)
class Cost:
    """One method; times in seconds, None where no record says them.

    Attributes:
        accuracy: top-1 in percent, over seeds.
        epoch: of training, mean over seeds.
        step: of training.
        training: of one student.
        search: of all searches that a student needs; 0 without any.
        memory: largest peak of trainings and searches, in bytes.
        macs: multiply-adds of one student's training and of the searches that it needs.
    """

    name: str
    accuracy: Summary
    epoch: float | None
    step: float | None
    training: float | None
    search: float | None
    memory: float | None
    macs: float | None

    @property
    def total(self) -> float | None:
        """Training and search, in hours."""
        if self.training is None or self.search is None:
            return None
        return (self.training + self.search) / HOUR

    def gain(self, baseline: "Cost | None") -> float | None:
        """Points of accuracy over the baseline; None for the baseline itself."""
        if baseline is None or baseline.name == self.name:
            return None
        return self.accuracy.mean - baseline.accuracy.mean

    def per_hour(self, baseline: "Cost | None") -> float | None:
        """Points gained per hour of search and training."""
        gain, total = self.gain(baseline), self.total
        return gain / total if gain is not None and total else None

    def relative_step(self, baseline: "Cost | None") -> float | None:
        """Time of a step in that of the baseline's."""
        if baseline is None or self.step is None or not baseline.step:
            return None
        return self.step / baseline.step


def render(
    figure: exhibits.Figure,
    graph: Graph,
    runs: Mapping[str, tuple[RunSpec, Record]],
    *,
    records: Records,
) -> Drawn:
    """A table in Markdown and CSV."""
    costs = [read_cost(name, spec, record, records) for name, (spec, record) in runs.items()]
    name = str(figure.option("baseline", ""))
    baseline = next((cost for cost in costs if cost.name == name), None)
    return Drawn({"csv": csv_bytes(frame(costs, baseline))}, body(costs, baseline, name))


def read_cost(name: str, spec: RunSpec, record: Record, records: Records) -> Cost:
    """One method from its evaluation and the records behind it.

    Raises:
        DamagedData: a record lacks something.
    """
    students = [run for run in spec.upstream.values() if run.phase == "student"]
    searches = {
        run.digest: run
        for student in students
        for run in student.upstream.values()
        if run.phase == "search"
    }
    done = [(run, found) for run in students if (found := records.get(run))]
    seconds = [found.number("cost", "seconds") for _, found in done]
    epochs = [float(run.params["recipe"]["epochs"]) for run, _ in done]
    steps = [found.number("cost", "steps") for _, found in done]
    searched = [found for run in searches.values() if (found := records.get(run))]
    everything = [*(found for _, found in done), *searched]
    memory = [
        found.number("cost", "peak_memory_bytes")
        for found in everything
        if "peak_memory_bytes" in found.at("cost")
    ]
    counted = all("macs" in found.at("cost") for found in everything)
    whole = bool(done) and len(searched) == len(searches)
    return Cost(
        name,
        summarise(reported(record, TOP1)),
        epoch=fmean(s / e for s, e in zip(seconds, epochs, strict=True)) if done else None,
        step=sum(seconds) / sum(steps) if sum(steps) else None,
        training=fmean(seconds) if done else None,
        search=sum(f.number("cost", "seconds") for f in searched) if whole else None,
        memory=max(memory, default=None),
        macs=(
            fmean(f.number("cost", "macs") for _, f in done)
            + sum(f.number("cost", "macs") for f in searched)
            if whole and counted
            else None
        ),
    )


def body(costs: Sequence[Cost], baseline: Cost | None, name: str) -> str:
    """A line a method; what no record says stays empty."""
    lines = [
        [
            cost.name,
            number(cost.accuracy, State.DONE),
            _shown(cost.gain(baseline), "+.2f"),
            _shown(cost.epoch, ".1f"),
            _shown(None if cost.step is None else 1000 * cost.step, ".1f"),
            _shown(cost.relative_step(baseline), ".2f"),
            _shown(cost.search, ".0f"),
            _shown(cost.total, ".3f"),
            _shown(cost.per_hour(baseline), "+.2f"),
            _shown(None if cost.macs is None else cost.macs / TERA, ".3g"),
            _shown(None if cost.memory is None else cost.memory / GIB, ".2f"),
        ]
        for cost in costs
    ]
    heads = ["method", "top-1 (%)", "gain (points)", "training (s/epoch)", "step (ms)"]
    heads += [f"step / {name}'s", "search (s)", "search and training (h)"]
    heads += ["points gained per hour", "multiply-adds (10^12)", "peak memory (GiB)"]
    return f"{pipe(lines, heads)}\n\n{NOTE.format(baseline=name)}"


def frame(costs: Sequence[Cost], baseline: Cost | None) -> "pd.DataFrame":
    """A line a method."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "method": cost.name,
                "top1": cost.accuracy.mean,
                "std": cost.accuracy.std,
                "n": cost.accuracy.n,
                "gain": cost.gain(baseline),
                "seconds_per_epoch": cost.epoch,
                "seconds_per_step": cost.step,
                "step_relative": cost.relative_step(baseline),
                "search_seconds": cost.search,
                "total_hours": cost.total,
                "points_per_hour": cost.per_hour(baseline),
                "macs": cost.macs,
                "peak_memory_bytes": cost.memory,
            }
            for cost in costs
        ]
    )


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
