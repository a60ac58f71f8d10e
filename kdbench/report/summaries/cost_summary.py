"""What every method costs beside what it gains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.exhibits.tables import Summary
from kdbench.report.presentation import Presentation, TextTable, number, optional
from kdbench.report.readings.cost import Cost, read_cost
from kdbench.report.readings.records import CellState, FinishedRuns, Records

if TYPE_CHECKING:
    import pandas as pd

GIB, TERA = 2.0**30, 1e12
NOTE = (
    "Hours, multiply-adds and memory are those of one student's training and of the searches that "
    "it needs; its teacher, which other students share, stands in the last two columns. "
    "Device hours are those of training steps, wall hours also have looks at the test set, "
    "checkpoints and, in a run that was continued, both parts, but not the time between. "
    "Multiply-adds are counted in the first step of every epoch, backward passes included; "
    "a gain is over the row {baseline}. Times are of the device named below; CPU times taken on a "
    "machine that other work shares are not comparable with one another."
)


def render(summary: Summary, runs: FinishedRuns, records: Records) -> Presentation:
    """One line per method, its gain over that of the option `baseline`."""
    costs = [read_cost(key, spec, record, records) for key, (spec, record) in runs.items()]
    name = str(summary.option("baseline", ""))
    baseline = next((cost for cost in costs if cost.name == name), None)
    return Presentation(
        numbers=frame(costs, baseline),
        table=table(costs, baseline, name),
        notes=(NOTE.format(baseline=name),),
    )


def table(costs: Sequence[Cost], baseline: Cost | None, name: str) -> TextTable:
    """One line per method; what no record says stays empty."""
    lines = [
        [
            cost.name,
            number(cost.accuracy, CellState.DONE),
            optional(cost.gain(baseline), "+.2f"),
            optional(cost.epoch, ".1f"),
            optional(None if cost.step is None else 1000 * cost.step, ".1f"),
            optional(cost.relative_step(baseline), ".2f"),
            optional(cost.search, ".0f"),
            optional(cost.total, ".3f"),
            optional(cost.wall, ".3f"),
            optional(cost.per_hour(baseline), "+.2f"),
            optional(cost.macs, ".3g", TERA),
            optional(cost.memory, ".2f", GIB),
            optional(cost.teacher, ".3f"),
            optional(cost.teacher_macs, ".3g", TERA),
        ]
        for cost in costs
    ]
    heads = ["method", "top-1 (%)", "gain (points)", "training (s/epoch)", "step (ms)"]
    heads += [f"step / {name}'s", "search (s)", "search and training (device h)"]
    heads += ["search and training (wall h)", "points gained per device hour"]
    heads += ["multiply-adds (10^12)", "peak memory (GiB)"]
    heads += ["teacher (device h)", "teacher's multiply-adds (10^12)"]
    return TextTable(heads, lines)


def frame(costs: Sequence[Cost], baseline: Cost | None) -> "pd.DataFrame":
    """One line per method."""
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
                "wall_hours": cost.wall,
                "points_per_hour": cost.per_hour(baseline),
                "macs": cost.macs,
                "peak_memory_bytes": cost.memory,
                "teacher_hours": cost.teacher,
                "teacher_macs": cost.teacher_macs,
            }
            for cost in costs
        ]
    )
