"""Panels of a table whose networks see pixels: images, what is there, what each network says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from kdbench.report.markdown import paragraphs, pipe
from kdbench.report.presentation import TextTable
from kdbench.report.readings.lines import Line
from kdbench.report.readings.records import Record, Records
from kdbench.store.panels import GUESS, IMAGE, KEY, OF, TRUTH, as_png, colours

FOLDER = "panels"
MOST_BYTES = 300_000  # of one exhibit
ABOUT = (
    "A few test images, shrunk: what is there (black does not count), and what the first network "
    "of each row says is there, at the epoch that the table shows. They were chosen by their place "
    "alone."
)
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
        classes: the colour (red, green, blue) and the name of every class.
        left_out: strips for which there was no room.
    """

    groups: Sequence[tuple[str, Sequence[Panel]]]
    classes: Sequence[tuple[tuple[int, int, int], str]]
    left_out: int = 0

    @property
    def about(self) -> str:
        """What a reader must know."""
        if not self.left_out:
            return ABOUT
        return f"{ABOUT} {CROWDED.format(count=self.left_out, limit=MOST_BYTES // 1000)}"

    @property
    def files(self) -> dict[str, bytes]:
        """Contents by path inside the report's folder."""
        return {panel.path: panel.content for _, group in self.groups for panel in group}


def read_panels(lines: Sequence[Line], records: Records) -> Panels | None:
    """The panels of a table's cells; None where no record has any, as those of older runs.

    Cells whose network saw other images than the first one's are left out.

    Raises:
        DamagedData: a record's strip is no PNG file.
    """
    shown = [(line, record) for line in lines if (record := _evaluated(line, records))]
    if not shown:
        return None
    first, record = shown[0]
    images, names = record.at(KEY, OF), record.items("metrics", "classes")
    shown = [(line, one) for line, one in shown if one.at(KEY, OF) == images]
    data = _of_data(first, records, images)
    groups = []
    for _, column in groupby(sorted(shown, key=_column), key=_column):
        cells = list(column)
        panels = [*data, *(_panel(line, line.row, one, GUESS) for line, one in cells)]
        groups.append((cells[0][0].head, panels))
    classes = list(zip(colours(len(names)), map(str, names), strict=True))
    return _fitting(Panels(groups, classes))


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
    names = ", ".join(name for _, name in panels.classes)
    parts.append(f"Classes: {names}; their colours stand on the page for a browser.")
    return paragraphs(parts)


def _column(cell: tuple[Line, Record]) -> int:
    return cell[0].place[1]


def _evaluated(line: Line, records: Records) -> Record | None:
    """The record of a cell's evaluation, if it has panels."""
    record = records.get(line.evaluation) if line.evaluation else None
    return record if record and KEY in record.content else None


def _of_data(line: Line, records: Records, images: object) -> list[Panel]:
    """The images and what is there; nothing where the data set's record is an older one."""
    record = records.get(line.evaluation.data) if line.evaluation else None
    if record is None or KEY not in record.content or record.at(KEY, OF) != images:
        return []
    return [_panel(line, label, record, label) for label in (IMAGE, TRUTH)]


def _panel(line: Line, label: str, record: Record, key: str) -> Panel:
    content = as_png(record.at(KEY, key))
    if content is None:
        raise record.damaged((KEY, key), "something else", "a PNG file in base64")
    name = line.digest if key == GUESS else key
    return Panel(label, f"{FOLDER}/{line.table.slug}/{name}.png", content)
