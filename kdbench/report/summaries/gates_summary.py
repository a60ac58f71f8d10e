"""Searches that close gates side by side: who decided, when it was over, how alike the ends are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kdbench.errors import BadValue
from kdbench.exhibits.keys import SearchKey
from kdbench.exhibits.tables import Summary
from kdbench.report.presentation import Presentation, TextTable, optional
from kdbench.report.readings.gates import Gates, agreement, agreement_by_chance, read_gates
from kdbench.report.readings.records import FinishedRuns, Records

if TYPE_CHECKING:
    import pandas as pd

NOTE = (
    "Loss over penalty: median over gates and steps of |dl/dg| / (λ₂ α); far below 1 the penalty "
    "decides alone. Agreement: share of the channels that two searches both keep or both remove, "
    "with the first search of the same network finished here; in brackets what it would be by "
    "chance."
)


def render(summary: Summary, runs: FinishedRuns, records: Records) -> Presentation:
    """One line per search.

    Raises:
        BadValue: a key is not a `SearchKey`.
    """
    gates: dict[SearchKey, Gates] = {}
    for key, (_, record) in runs.items():
        if not isinstance(key, SearchKey):
            raise BadValue(f"{summary.id}, requests", str(key), "keys that are a SearchKey")
        gates[key] = read_gates(record)
    return Presentation(numbers=frame(gates), table=table(gates), notes=(NOTE,))


def table(gates: Mapping[SearchKey, Gates]) -> TextTable:
    """One line per search."""
    lines = []
    for key, one in gates.items():
        budget, alike = one.budget, _agreement(gates, key)
        met = f"{100 * budget.part:.0f} % of the steps" if budget.part is not None else "not met"
        lines.append(
            [
                key.group,
                key.search,
                met,
                f"{budget.flops:.1f}",
                f"{one.parameters:.2f}",
                f"{one.lr:g}",
                f"{one.price:.3g}",
                optional(one.loss_to_penalty, ".2f"),
                f"{budget.largest_kl:.2f}",
                f"{alike[0]:.2f} ({alike[1]:.2f})" if alike else "",
            ]
        )
    heads = ["searched on", "search", "budget met after", "FLOPs left (M)", "parameters left (M)"]
    heads += ["η", "λ₂", "loss over penalty", "largest KL met", "agreement with the first"]
    return TextTable(heads, lines)


def frame(gates: Mapping[SearchKey, Gates]) -> "pd.DataFrame":
    """One line per search."""
    import pandas as pd

    lines = []
    for key, one in gates.items():
        agree, chance = _agreement(gates, key) or (None, None)
        lines.append(
            {
                "group": key.group,
                "search": key.search,
                "budget_met": one.budget.met,
                "share_of_steps": one.budget.part,
                "flops_left_millions": one.budget.flops,
                "parameters_left_millions": one.parameters,
                "gate_lr": one.lr,
                "lambda_2": one.price,
                "loss_to_penalty": one.loss_to_penalty,
                "largest_kl": one.budget.largest_kl,
                "agreement": agree,
                "agreement_by_chance": chance,
            }
        )
    return pd.DataFrame(lines)


def _agreement(gates: Mapping[SearchKey, Gates], key: SearchKey) -> tuple[float, float] | None:
    """With the first of the group, and what it would be by chance; None for the first itself."""
    first = next(one for one in gates if one.group == key.group)
    if key == first:
        return None
    pair = gates[first], gates[key]
    return agreement(*pair), agreement_by_chance(*pair)
