"""A table as LaTeX with booktabs, from the same data frame as its CSV."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\to$",
    "±": r"$\pm$",
}
EMPTY = "--"


def latex(cells: "pd.DataFrame", title: str, notice: str) -> str:
    """Rows and columns as in the paper: our mean and deviation, then the published mean.

    Args:
        cells: one line per cell, as `readings.lines.frame` makes it.
        title: the caption.
        notice: a comment above the table; "" for none.
    """
    by_place = {(one["row_number"], one["column_number"]): one for one in cells.to_dict("records")}
    rows = {number: one["row"] for (number, _), one in by_place.items()}
    heads = told_apart({n: (one["column"], one["dataset"]) for (_, n), one in by_place.items()})
    published = bool(cells["published"].notna().any())
    lines = [
        [escaped(label), *(_cell(by_place.get((row, head)), published) for head in heads)]
        for row, label in rows.items()
    ]
    said = " Ours, then published." if published else ""
    body = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            *([f"% {notice}"] if notice else []),
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{escaped(title)}.{said}}}",
            rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
            r"\toprule",
            " & ".join(["", *map(escaped, heads.values())]) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    r"""A text with LaTeX's special characters escaped.

    >>> print(escaped("a_b & 50 %"))
    a\_b \& 50 \%
    """
    return "".join(SPECIAL.get(character, character) for character in text)


def told_apart(heads: Mapping[int, tuple[str, str]]) -> dict[int, str]:
    """Headings by their columns' numbers; equal ones get their data set, then their number.

    >>> told_apart({1: ("A", "x"), 2: ("A", "y"), 3: ("B", "x"), 4: ("B", "x")})
    {1: 'A (x)', 2: 'A (y)', 3: 'B (3)', 4: 'B (4)'}
    """
    texts, pairs = Counter(text for text, _ in heads.values()), Counter(heads.values())

    def addition(number: int, text: str, dataset: str) -> str:
        if texts[text] == 1:
            return ""
        return f" ({dataset if pairs[text, dataset] == 1 else number})"

    return {number: text + addition(number, text, data) for number, (text, data) in heads.items()}


def _cell(line: Mapping[Any, Any] | None, published: bool) -> str:
    if line is None:
        return EMPTY
    ours = _number(line["ours_mean"], line["ours_std"])
    return f"{ours} / {_number(line['published'], line['published_spread'])}" if published else ours


def _number(mean: float | None, spread: float | None) -> str:
    """A mean with its deviation; NaN and None are no numbers."""
    if mean is None or mean != mean:
        return EMPTY
    known = spread is not None and spread == spread
    return f"{mean:.2f}" + (rf" $\pm$ {spread:.2f}" if known else "")
