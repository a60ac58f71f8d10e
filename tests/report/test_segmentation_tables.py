"""Numbers of segmentation and depth: which epoch, which of two published ones, which metric."""

import csv
from importlib.resources import files
from types import SimpleNamespace

from made_up import Project

from kdbench.report.readings.lines import read_lines
from kdbench.report.readings.records import Records
from kdbench.report.site.boards import averaged
from kdbench.report.site.details import _teacher
from kdbench.report.stand_ins import stand_in_notes
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


def test_a_cell_names_its_teacher_s_score_with_metric_and_unit(tmp_path):
    """A teacher of depths has no top-1 accuracy; what records hold in metres is shown in cm."""
    options = {"exhibits": ["distpro/table6"], "datasets": ["nyuv2"], "scale": "paper"}
    plan = Project(tmp_path, **options)
    cell = next(c for c in plan.graph.cells["distpro/table6"] if c.row.label == "ReviewKD")
    first = cell.evaluation.first
    plan.write(first.teacher, {first.teacher_epoch: {"rmse": 0.2032, "epoch": 9}})

    assert _teacher(cell.evaluation, Records(plan.paths)).score == "RMSE 20.32 cm"


def test_means_are_of_leaderboards_of_one_metric():
    """The one that most have; points of mIoU and centimetres are not added up."""

    def board(key, standings=("measured",)):
        return SimpleNamespace(
            lines=[SimpleNamespace(metric=SimpleNamespace(key=key))], standings=standings
        )

    depth, first, second = board("rmse"), board("top1"), board("top1")
    empty = [board("miou", ()) for _ in range(3)]

    assert averaged([depth, first, *empty, second]) == [first, second]
    assert averaged([depth, *empty]) == [depth] and averaged(empty) == []


def notes_at(root, scale, dataset, *exhibits):
    """What the pages of exhibits say of stand-ins."""
    plan = Project(root, exhibits=list(exhibits), datasets=[dataset], scale=scale)
    return [stand_in_notes(plan.graph, exhibit) for exhibit in plan.graph.exhibits]


def test_tables_of_large_networks_say_which_small_ones_stand_in(tmp_path):
    """Only those that the table has, and only at the scale of stand-ins; figures too."""
    (table,) = notes_at(tmp_path, "smoke", "cityscapes", "distpro/pathways")
    assert table == [
        "At scale smoke small networks stand in for the large ones: PSPNet-ResNet18 for "
        "PSPNet-ResNet101, PSPNet-ResNet10 for PSPNet-ResNet18."
    ]
    figure, cost = notes_at(
        tmp_path, "smoke", "imagenet", "distpro/figure5", "distpro/imagenet-cost"
    )
    assert "ResNet14 for ResNet34" in figure[0] and "ResNet20 for ResNet50" in cost[0]
    for scale in ("lite", "paper"):
        assert notes_at(tmp_path, scale, "cityscapes", "distpro/pathways") == [[]]
    assert notes_at(tmp_path, "smoke", "cifar100", "distpro/table1") == [[]]


def test_the_page_of_depths_says_how_many_are_given(tmp_path):
    """50 where the stand-in's images are small; elsewhere the protocol's 500 alone."""
    plan = Project(tmp_path, exhibits=["distpro/table6"], datasets=["nyuv2"], scale="smoke")
    records = Records(plan.paths)
    lines = read_lines(plan.graph, plan.table, records)
    page = table_markdown(plan.graph, plan.table, [line.result for line in lines], records)

    assert "At scale smoke 50 depths are given per image" in page and "in place of 500." in page
    assert notes_at(tmp_path, "paper", "nyuv2", "distpro/table6") == [[]]
