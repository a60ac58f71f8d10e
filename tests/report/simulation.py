"""How often verdicts and claims come out right, by made-up runs whose truth is known.

    python tests/report/simulation.py

writes the tables of docs/statistics.md anew. The rules are written again here, for many draws at
once; `test_simulation.py` holds them to those of the report, draw by draw.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from kdbench.papers import published_numbers

DOCUMENT = Path(__file__).parents[2] / "docs/statistics.md"
BEGIN, END = "<!-- made by tests/report/simulation.py -->\n", "<!-- end -->\n"
DRAWS = 4_000  # a share is known to 0.8 points or better
SPREADS = (0.1, 0.2, 0.3, 0.4)
SEEDS = (1, 3, 5)
PRINTED = 5  # runs of a printed mean
TOLERANCE = 0.5
Array = np.ndarray[Any, np.dtype[np.float64]]


def interval(
    cells: Sequence[tuple[float, Array]], tries: int = 1, pooled: bool = False
) -> tuple[Array, Array]:
    """As `contrast` of the report, for every draw; no half is finite where a cell has one run.

    Args:
        cells: factor and runs, (draws, runs), of each.
        tries: of the report's `student_t95`.
        pooled: take the degrees of freedom of all cells together, which the report does not.
    """
    total = sum(factor * runs.mean(1) for factor, runs in cells)
    if any(runs.shape[1] == 1 for _, runs in cells):
        return np.asarray(total), np.full(len(cells[0][1]), np.inf)
    parts = [(f * f * r.var(1, ddof=1) / r.shape[1], r.shape[1] - 1) for f, r in cells]
    variance = np.sum([part for part, _ in parts], axis=0)
    degrees = variance**2 / np.sum([part**2 / n for part, n in parts], axis=0)
    if pooled:
        degrees = np.full_like(variance, sum(n for _, n in parts))
    return np.asarray(total), stdtrit(degrees, 1 - 0.025 / tries) * np.sqrt(variance)


def verdicts(gap: Array, half: Array, tolerance: float = TOLERANCE) -> tuple[Array, Array]:
    """Which draws are called a reproduction, and which a difference."""
    return np.abs(gap) + half <= tolerance, np.abs(gap) - half > tolerance


def strict(firsts: Sequence[Array], seconds: Sequence[Array]) -> tuple[Array, Array]:
    """Where every column is clearly better, and where one is clearly worse."""
    pairs = list(zip(firsts, seconds, strict=True))
    leads = [interval([(1.0, a), (-1.0, b)]) for a, b in pairs]
    wide = [interval([(1.0, a), (-1.0, b)], tries=len(pairs)) for a, b in pairs]
    fails = np.any([lead < -half for lead, half in wide], axis=0)
    return np.all([lead > half for lead, half in leads], axis=0) & ~fails, fails


def mean_lead(
    firsts: Sequence[Array], seconds: Sequence[Array], pooled: bool = False
) -> tuple[Array, Array]:
    """The mean over the columns, and half its interval."""
    signed = [*((1.0, a) for a in firsts), *((-1.0, b) for b in seconds)]
    return interval([(sign / len(firsts), runs) for sign, runs in signed], pooled=pooled)


class Draws:
    """Made-up runs, the same for the same seed."""

    def __init__(self, seed: int = 0, draws: int = DRAWS) -> None:
        self.numbers = np.random.default_rng(seed)
        self.draws = draws

    def runs(self, mean: float, spread: float, n: int) -> Array:
        """(draws, n) accuracies."""
        return self.numbers.normal(mean, spread, (self.draws, n))

    def verdict(self, gap: float, spread: float, n: int, printed: str) -> tuple[float, float]:
        """Shares of reproductions and differences where ours is really `gap` above the paper's.

        Args:
            gap: how far ours is from the paper's in truth.
            spread: standard deviation of both.
            n: our seeds.
            printed: "exact": the printed number is the truth; "with": it is a mean of runs, its
                spread is printed as well; "without": it is such a mean, taken as exact.
        """
        ours = self.runs(gap, spread, n)
        theirs = self.runs(0.0, spread, PRINTED)
        if printed == "with":
            shown = verdicts(*interval([(1.0, ours), (-1.0, theirs)]))
        else:
            mean, half = interval([(1.0, ours)])
            shown = verdicts(mean - (theirs.mean(1) if printed == "without" else 0.0), half)
        return float(shown[0].mean()), float(shown[1].mean())

    def claim(self, leads: Sequence[float], spread: float, n: int) -> dict[str, float]:
        """Shares of draws in which the claim "better in every column" holds, and fails."""
        firsts = [self.runs(lead, spread, n) for lead in leads]
        seconds = [self.runs(0.0, spread, n) for _ in leads]
        holds, fails = strict(firsts, seconds)
        lead, half = mean_lead(firsts, seconds)
        return {
            "holds": holds.mean(),
            "fails": fails.mean(),
            "mean holds": (lead > half).mean(),
            "mean fails": (lead < -half).mean(),
            "one": float(np.median(interval([(1.0, firsts[0]), (-1.0, seconds[0])])[1])),
            "mean": float(np.median(half)),
        }

    def coverage(self, spreads: Sequence[float], n: int, pooled: bool = False) -> float:
        """Share of intervals of a mean lead that hold the truth; of two rows' spreads by column."""
        half_way = len(spreads) // 2
        cells = [self.runs(0.0, spread, n) for spread in spreads]
        lead, half = mean_lead(cells[:half_way], cells[half_way:], pooled)
        return float((np.abs(lead) <= half).mean())


def printed_leads(csv: str, first: str, second: str) -> list[float]:
    """By how much one row is better than another in print, column by column."""
    known = published_numbers(csv)
    settings = [(s, metric) for e, s, row, metric in known if e == "table1" and row == first]
    pairs = [
        (metric, known["table1", s, first, metric], known["table1", s, second, metric])
        for s, metric in settings
    ]
    return [(b.value - a.value) * (1 if m == "test_error" else -1) for m, a, b in pairs]


def printed_spreads(row: str) -> list[float]:
    """Standard deviations of a row of DistPro's Table 1, column by column."""
    known = published_numbers("distpro.csv")
    cells = [c for (e, _, r, _), c in known.items() if (e, r) == ("table1", row)]
    return [cell.spread**0.5 for cell in cells if cell.spread]


VERDICT_HEADS = (
    "seeds",
    "spread",
    "right, printed exact: reproduced",
    "another",
    "right, printed with its spread: reproduced",
    "another",
    "right, printed without it: reproduced",
    "another",
    "off by 0.5: reproduced",
    "another",
    "off by 1: reproduced",
    "another",
)
CLAIM_HEADS = (
    "claim",
    "true leads",
    "seeds",
    "spread",
    "holds",
    "does not",
    "in the mean: holds",
    "does not",
    "one lead is decided from",
    "the mean from",
)


def verdict_table(draws: Draws) -> list[list[str]]:
    """A paper that is exactly right, and one whose number is off."""
    lines = [list(VERDICT_HEADS)]
    for n in SEEDS:
        for spread in SPREADS:
            rates = [draws.verdict(0.0, spread, n, how) for how in ("exact", "with", "without")]
            rates += [draws.verdict(gap, spread, n, "with") for gap in (0.5, 1.0)]
            lines.append([str(n), str(spread), *(percent(r) for pair in rates for r in pair)])
    return lines


CLAIMED = (
    ("DistPro over use alpha_T", "distpro.csv", "DistPro", "use alpha_T"),
    ("DistPro over equally weighted", "distpro.csv", "DistPro", "equally weighted"),
    ("DFA over Margin (OFD)", "dfa.csv", "DFA", "OFD (margin ReLU)"),
    ("SBS: KL, weighted, over NP, weighted", "sbs.csv", "search loss KD weighted",
     "search loss NP weighted"),
)  # fmt: skip


def claim_table(draws: Draws) -> list[list[str]]:
    """Claims whose printed leads are the truth, and the first with no lead at all."""
    lines = [list(CLAIM_HEADS)]
    claims = [(name, printed_leads(csv, a, b)) for name, csv, a, b in CLAIMED]
    claims.append(("no lead at all, six columns", [0.0] * 6))
    for name, leads in claims:
        low, high = f"{min(leads):+.2f}", f"{max(leads):+.2f}"
        shown = low if low == high else f"{low} to {high} ({len(leads)})"
        for n in SEEDS[1:]:
            for spread in SPREADS:
                rate = draws.claim(leads, spread, n)
                shares = [rate[key] for key in ("holds", "fails", "mean holds", "mean fails")]
                half = [f"{rate[key]:.2f}" for key in ("one", "mean")]
                lines.append([name, shown, str(n), str(spread), *map(percent, shares), *half])
    return lines


def coverage_table(draws: Draws) -> list[list[str]]:
    """How many of the 95 % intervals hold the truth, by each cell's own spread or a pooled one."""
    ours, last, equal = (printed_spreads(r) for r in ("DistPro", "use alpha_T", "equally weighted"))
    cases = (
        ("one column, equal spreads", [0.2] * 2),
        ("one column, spreads 0.04 and 1.16", [0.04, 1.16]),
        ("six columns, equal spreads", [0.2] * 12),
        ("the printed spreads of DistPro and of equal weights", ours + equal),
        ("the printed spreads of DistPro and of use alpha_T", ours + last),
    )
    lines = [["mean lead over", "seeds", "as reported", "pooled degrees of freedom"]]
    for name, spreads in cases:
        for n in SEEDS[1:]:
            rates = [draws.coverage(spreads, n, pooled) for pooled in (False, True)]
            lines.append([name, str(n), *(f"{100 * rate:.1f}" for rate in rates)])
    return lines


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f}"


def tables(draws: Draws) -> dict[str, list[list[str]]]:
    """All tables of the document, by title; the first line of each has its heads."""
    return {
        "Coverage of the 95 % intervals, %": coverage_table(draws),
        "Verdicts, %": verdict_table(draws),
        "Claims, %": claim_table(draws),
    }


def markdown(shown: dict[str, list[list[str]]]) -> str:
    """The tables as they stand in the document."""
    parts = []
    for title, (heads, *lines) in shown.items():
        rows = [heads, ["---"] * len(heads), *lines]
        parts.append(f"### {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n" + "\n\n".join(parts) + "\n\n"


def parts_of_document() -> tuple[str, str, str]:
    """What stands before the tables, the tables, and what stands after."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    return before, written, after


if __name__ == "__main__":
    before, _, after = parts_of_document()
    made = markdown(tables(Draws()))
    DOCUMENT.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")
