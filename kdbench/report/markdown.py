"""Markdown: its building blocks, and the section of a figure or summary."""

import re
from collections.abc import Iterable, Mapping, Sequence

from kdbench.exhibits.tables import NamedRuns
from kdbench.report.presentation import Presentation, TextTable

LINKS = {"svg": "SVG", "png": "PNG", "pdf": "PDF", "csv": "CSV of all these numbers"}

# What could begin a tag, but for the tags that reports have of their own.
FOREIGN_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!br>|/?(details|summary)>)")


def without_tags(text: str) -> str:
    """Markdown whose HTML is the reports' own: titles, labels and notes come from anybody."""
    return FOREIGN_TAG.sub("&lt;", text)


def pipe(table: TextTable, aligned: Sequence[str] | None = None) -> str:
    """A table of texts; `aligned` holds "left" or "right" per column, by default all left.

    Cells are not padded: one long cell would widen every line, and a changed one rewrite them all.
    """
    rules = [
        {"left": "---", "right": "---:"}[side] for side in aligned or ["left"] * len(table.heads)
    ]
    rows = [[text.replace("|", r"\|").replace("\n", " ") for text in line] for line in table.lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (table.heads, rules, *rows))


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def quoted(text: str) -> str:
    """A banner as a bold quotation with its blank line; "" stays ""."""
    return f"> **{text}**\n\n" if text else ""


def paragraphs(parts: Iterable[str]) -> str:
    """All parts that say something, with a blank line between two."""
    return "\n\n".join(part for part in parts if part)


def section(
    exhibit: NamedRuns,
    presentation: Presentation,
    places: Mapping[str, str],
    unfinished: str,
    provenance: str,
) -> str:
    """A figure or summary under its heading.

    Args:
        exhibit: gives caption and notes.
        presentation: gives the table and what is said of it.
        places: paths of its files by kind, relative to its page.
        unfinished: how many runs are not run yet; "" for none.
        provenance: how the numbers were made.
    """
    return paragraphs(
        [
            f"![{exhibit.title}]({places['svg']})" if "svg" in places else "",
            exhibit.caption,
            f"**{presentation.lead}**" if presentation.lead else "",
            pipe(presentation.table),
            *presentation.notes,
            f"*{unfinished}*" if unfinished else "",
            bullets(exhibit.notes),
            f"*{provenance}*",
            " · ".join(f"[{LINKS[kind]}]({places[kind]})" for kind in LINKS if kind in places)
            + "\n",
        ]
    )
