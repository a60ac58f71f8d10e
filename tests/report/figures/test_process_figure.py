"""The figure of a searched process, drawn from its record."""

import csv
import io
import json

import pytest

from kdbench.errors import UserError
from kdbench.report.figures.drawing import png, svg
from kdbench.report.figures.process_figure import draw
from kdbench.report.readings.process import read_process
from kdbench.report.readings.records import Records


def process_of(plan):
    """The process that figure 6 draws."""
    spec = plan.graph.drawn["distpro/figure6"]["search"]
    return read_process(spec, Records(plan.paths).get(spec))


def test_there_is_a_panel_for_every_teacher_map(project):
    """Three teacher maps give three panels of nine lines, and a panel of their three sums."""
    plan = project(scale="smoke")
    plan.search()

    panels = {a.get_label(): a for a in draw(process_of(plan), "title", "").axes}

    assert list(panels) == ["t1", "t2", "t3", "totals"]
    assert [len(axes.lines) for axes in panels.values()] == [9, 9, 9, 3]


def test_the_drawn_values_are_the_records(project):
    """Every line holds its pathway's recorded weights, over epochs of the search, in sight."""
    plan = project(scale="smoke")
    path = plan.search(listed=5)
    process = json.loads(path.read_text())["process"]

    panels = draw(process_of(plan), "title", "").axes[:3]

    lines = {line.get_label(): line for axes in panels for line in axes.lines}
    assert set(lines) == set(process["pathways"])
    for i, name in enumerate(process["pathways"]):
        assert list(lines[name].get_ydata()) == [row[i] for row in process["weights"]]
        assert list(lines[name].get_xdata()) == pytest.approx([0.0, 1.6, 3.2, 4.8, 6.4])
        low, high = lines[name].axes.get_ylim()
        assert low <= min(lines[name].get_ydata()) and max(lines[name].get_ydata()) <= high


def test_colour_is_the_student_map_and_style_the_transform(project):
    """Lines of one student map share a colour, lines of one transform a style."""
    plan = project(scale="smoke")
    plan.search()

    lines = draw(process_of(plan), "title", "").axes[0].lines

    looks = {line.get_label()[3:]: (line.get_color(), line.get_linestyle()) for line in lines}
    assert looks["s1-2conv"][0] == looks["s1-complex"][0] != looks["s2-2conv"][0]
    assert looks["s1-2conv"][1] == looks["s2-2conv"][1] != looks["s1-complex"][1]


def test_the_csv_holds_the_weights_and_their_sums(project):
    """The CSV's columns are the record's numbers to the last digit."""
    plan = project(scale="smoke")
    process = json.loads(plan.search().read_text())["process"]

    text = process_of(plan).frame().to_csv(index=False)
    back = list(csv.DictReader(io.StringIO(text)))

    names = process["pathways"]
    assert [[float(line[n]) for n in names] for line in back] == process["weights"]
    assert [float(line["sum-t3"]) for line in back] == [sum(w[18:]) for w in process["weights"]]
    assert [int(line["step"]) for line in back] == process["steps"]


def test_two_drawings_are_the_same_bytes(project):
    """Neither dates nor random ids enter the files."""
    plan = project(scale="smoke")
    plan.search()
    first, second = (draw(process_of(plan), "title", "banner") for _ in range(2))

    assert svg(first, "x") == svg(second, "x") and png(first) == png(second)


def test_the_banner_is_printed_in_the_figure(project):
    """The whole notice can be read in the picture; without one there is only the title."""
    plan = project(scale="smoke")
    plan.search()
    notice = plan.graph.scale.notice

    texts = [t.get_text().replace("\n", " ") for t in draw(process_of(plan), "T", notice).texts]

    assert notice in texts
    assert len(draw(process_of(plan), "T", "").texts) == len(texts) - 1


@pytest.mark.parametrize(
    "damage",
    [
        {"pathways": ["nonsense"] * 27},
        {"weights": [[0.1] * 26] * 5},
        {"steps": [1, 2]},
        {"total_steps": 0},
    ],
)
def test_a_damaged_process_is_refused_in_one_line(project, damage):
    """The error names the record and the key."""
    plan = project(scale="smoke")
    path = plan.search(**damage)

    with pytest.raises(UserError) as caught:
        process_of(plan)

    assert f"{path}, process.{next(iter(damage))}" in str(caught.value)
    assert "\n" not in str(caught.value)
