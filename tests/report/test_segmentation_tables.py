"""Traps of IFVD's numbers: which epoch, and which of the teacher's two published ones."""

import csv
from importlib.resources import files

from made_up import Project

from kdbench.report.readings.lines import read_lines
from kdbench.report.readings.records import Records
from kdbench.report.table_page import table_markdown

TABLE5 = {"exhibits": ["distpro/table5"], "datasets": ["cityscapes"], "scale": "paper"}
SETTING = "Cityscapes ResNet101 -> MobileNet-v2"


def page_of(plan, **miou):
    """The table's lines and page with the teacher finished, its mIoU by epoch rule."""
    cell = next(c for c in plan.graph.cells["distpro/table5"] if c.row.label == "teacher")
    run = {"seed": 0, "selected": None}
    run |= {rule: {"miou": value, "epoch": 9} for rule, value in miou.items()}
    plan.write(cell.evaluation, {"reported": cell.evaluation.first.recipe.reported, "runs": [run]})
    records = Records(plan.paths)
    lines = read_lines(plan.graph, plan.table, records)
    page = table_markdown(plan.graph, plan.table, [line.result for line in lines], records)
    return lines[0], page


def test_the_last_epoch_counts_however_good_the_best_was(tmp_path):
    """IFVD's code measures its last weights; the best on the test set would flatter."""
    teacher, page = page_of(Project(tmp_path, **TABLE5), last=77.0, best=79.0)

    assert teacher.now.values == (77.0,)
    assert "**77.00 (1)**" in page
    assert "79.00" not in page
    assert "mIoU in %, higher is better" in page


def test_the_teacher_s_two_published_numbers_each_say_where_they_are_from(tmp_path):
    """The paper's stands in the table, marked; one note has both."""
    file = files("kdbench.papers") / "distpro.csv"
    rows = [
        row
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())
        if row["setting"] == SETTING and row["method"].startswith("teacher")
    ]
    assert [float(row["value"]) for row in rows] == [78.56, 78.32]
    assert len({row["source"] for row in rows} - {"paper"}) == 2

    teacher, page = page_of(Project(tmp_path, **TABLE5), last=77.0, best=79.0)
    assert (teacher.published.value, teacher.published.source) == (78.56, rows[0]["source"])
    assert "78.56 †" in page
    assert sum("78.56" in line and "78.32" in line for line in page.splitlines()) == 1
