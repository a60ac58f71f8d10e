"""A table as LaTeX with booktabs, from the same data frame as its CSV."""

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
    heads, rows = list(dict.fromkeys(cells["column"])), list(dict.fromkeys(cells["row"]))
    by_place = {(line["row"], line["column"]): line for line in cells.to_dict("records")}
    published = bool(cells["published"].notna().any())
    lines = [
        [escaped(row), *(_cell(by_place, row, head, published) for head in heads)] for row in rows
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
            " & ".join(["", *map(escaped, heads)]) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    r"""A text that LaTeX prints as it stands.

    >>> print(escaped("a_b & 50 %"))
    a\_b \& 50 \%
    """
    return "".join(SPECIAL.get(character, character) for character in text)


def _cell(by_place: Any, row: str, head: str, published: bool) -> str:
    line = by_place.get((row, head))
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
