"""Panels of a segmentation table: images, their true classes, and the classes of each network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from kdbench.report.markdown import paragraphs, pipe
from kdbench.report.presentation import TextTable
from kdbench.report.readings.lines import Line
from kdbench.report.readings.records import Record, Records
from kdbench.store.panels import (
    BLACK,
    GUESS,
    IMAGE,
    KEY,
    METRES,
    OF,
    TRUTH,
    as_png,
    colours,
    shades,
)

FOLDER = "panels"
MOST_BYTES = 300_000  # of one exhibit
CHOSEN = "They were chosen by their place alone."
CLASSES = (
    "A few test images, shrunk: what is there (black does not count), and what the first network "
    f"of each row says is there, at the epoch that the table shows. {CHOSEN}"
)
DEPTHS = (
    "A few test images, shrunk: the measured depths, and those that the first network of each row "
    f"gives, at the epoch that the table shows. {CHOSEN} All panels have one scale of colours, in "
    "metres: from {near:g} m, yellow, over green to {far:g} m, blue. Depths beyond an end have its "
    "colour. Black: not measured, or outside of the part that networks see."
)
TICKS = 5  # on the scale of depths
CROWDED = "{count} more are left out: an exhibit shows {limit} kB at most."


@dataclass(frozen=True)
class Panel:
    """A strip of all images.

    Attributes:
        label: what it shows; of a network the row's label.
        path: inside the report's folder.
        content: a PNG file.
    """

    label: str
    path: str
    content: bytes


@dataclass(frozen=True)
class Panels:
    """What a table shows.

    Attributes:
        groups: by column, its head and its strips.
        legend: colours (red, green, blue) and what they stand for.
        metres: the ends of the scale of depths; None of classes.
        left_out: strips for which there was no room.
    """

    groups: Sequence[tuple[str, Sequence[Panel]]]
    legend: Sequence[tuple[tuple[int, int, int], str]]
    metres: tuple[float, float] | None = None
    left_out: int = 0

    @property
    def about(self) -> str:
        """What a reader must know."""
        near, far = self.metres or (0, 0)
        text = DEPTHS.format(near=near, far=far) if self.metres else CLASSES
        if not self.left_out:
            return text
        return f"{text} {CROWDED.format(count=self.left_out, limit=MOST_BYTES // 1000)}"

    @property
    def files(self) -> dict[str, bytes]:
        """Contents by path inside the report's folder."""
        return {panel.path: panel.content for _, group in self.groups for panel in group}


def read_panels(lines: Sequence[Line], records: Records) -> Panels | None:
    """The panels of a table's cells; None where no record has any, as those of older runs.

    Cells whose network saw other images than the first one's, or has another scale of depths, are
    left out.

    Raises:
        DamagedData: a record's strip is no PNG file, or its scale is none.
    """
    shown = [(line, record) for line in lines if (record := _evaluated(line, records))]
    if not shown:
        return None
    first, record = shown[0]
    images, metres = _images(record), _metres(record)
    shown = [(line, one) for line, one in shown if _images(one) == images]
    data = _of_data(first, records, images)
    groups = []
    for _, column in groupby(sorted(shown, key=_column), key=_column):
        cells = list(column)
        panels = [*data, *(_panel(line, line.row, one, GUESS) for line, one in cells)]
        groups.append((cells[0][0].head, panels))
    legend = _ticks(*metres) if metres else _classes(record)
    return _fitting(Panels(groups, legend, metres))


def _images(record: Record) -> tuple[Any, Any]:
    """By what panels of several records belong together: the images, and a scale of depths."""
    return record.at(KEY, OF), record.at(KEY).get(METRES)


def _metres(record: Record) -> tuple[float, float] | None:
    """The ends of a record's scale of depths; None where it has classes."""
    if METRES not in record.at(KEY):
        return None
    near, far = (record.number(KEY, METRES, end) for end in (0, 1))
    if near >= far:
        raise record.damaged((KEY, METRES), f"{near:g} to {far:g}", "a nearer and a farther depth")
    return near, far


def _classes(record: Record) -> list[tuple[tuple[int, int, int], str]]:
    names = record.items("metrics", "classes")
    return list(zip(colours(len(names)), map(str, names), strict=True))


def _ticks(near: float, far: float) -> list[tuple[tuple[int, int, int], str]]:
    step = (far - near) / (TICKS - 1)
    depths = [f"{near + number * step:.1f} m" for number in range(TICKS)]
    return [*zip(shades(TICKS), depths, strict=True), (BLACK, "not measured or not seen")]


def _fitting(panels: Panels) -> Panels:
    """The first strips, as many as there is room for; a file that is shown twice counts once."""
    room, files = MOST_BYTES, set[str]()
    for path, content in panels.files.items():
        if len(content) <= room:
            room -= len(content)
            files.add(path)
    groups = [(head, [p for p in group if p.path in files]) for head, group in panels.groups]
    return replace(panels, groups=groups, left_out=len(panels.files) - len(files))


def panels_markdown(panels: Panels) -> str:
    """The section of a table's page, whose folder lies beside that of the panels."""
    parts = ["## Panels", panels.about]
    for head, group in panels.groups:
        lines = [[panel.label, f"![{panel.label}](../{panel.path})"] for panel in group]
        parts.append(pipe(TextTable([head, ""], lines)))
    if panels.metres is None:
        names = ", ".join(name for _, name in panels.legend)
        parts.append(f"Classes: {names}; their colours stand on the page for a browser.")
    return paragraphs(parts)


def _column(cell: tuple[Line, Record]) -> int:
    return cell[0].place[1]


def _evaluated(line: Line, records: Records) -> Record | None:
    """The record of a cell's evaluation, if it has panels."""
    record = records.get(line.evaluation) if line.evaluation else None
    return record if record and KEY in record.content else None


def _of_data(line: Line, records: Records, images: tuple[Any, Any]) -> list[Panel]:
    """The images and what is there; nothing where the data set's record is an older one."""
    record = records.get(line.evaluation.data) if line.evaluation else None
    if record is None or KEY not in record.content or _images(record) != images:
        return []
    return [_panel(line, label, record, label) for label in (IMAGE, TRUTH)]


def _panel(line: Line, label: str, record: Record, key: str) -> Panel:
    content = as_png(record.at(KEY, key))
    if content is None:
        raise record.damaged((KEY, key), "something else", "a PNG file in base64")
    name = line.digest if key == GUESS else key
    return Panel(label, f"{FOLDER}/{line.table.slug}/{name}.png", content)
