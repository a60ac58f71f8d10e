"""Reports of tables of one's own: where they lie, and what they may show."""

import re

from finished import evaluate

from kdbench.workflow.report import readmes, write_report

TABLE = {
    "id": "mine",
    "title": "Mine # 1",
    "pairs": ["resnet56:resnet20"],
    "methods": ["teacher", "none", "kd"],
    "comparisons": [["kd", "none"]],
    "sizes": True,
    "seeds": 3,
}


def contents(folder):
    """Every file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def own_plan(project, **params):
    """A plan of an own table whose cells are done."""
    plan = project(scale="lite", exhibits=["own"], tables=[TABLE], **params)
    for cell, top1 in zip(plan.graph.cells["own/mine"], (75.0, 70.0, 72.0), strict=True):
        values = [top1] if cell.row.role == "teacher" else [top1 - 0.1, top1, top1 + 0.1]
        evaluate(plan, cell.evaluation, values)
    return plan


def test_the_report_of_own_tables_leaves_the_study_s_as_it_was(project):
    """It lies in a folder of its own, and not a byte of the other changes."""
    study = project(scale="lite")
    study.evaluate("DistPro", [70.0, 71.0, 72.0, 73.0, 74.0])
    (page,) = write_report(study.graph, study.paths)
    before = contents(page.parent)

    plan = own_plan(project, datasets=["cifar10"])
    (own,) = write_report(plan.graph, plan.paths)

    assert own == page.parent / "own/README.md" and own.is_file()
    after = contents(page.parent)
    assert {name: after[name] for name in before} == before
    new = {name for name in after if name not in before}
    assert all(name.startswith("own/") for name in new)
    assert {name for name in new if not re.search(r"\.html|/assets/", name)} == {
        "own/README.md",
        "own/cells.csv",
        "own/metrics.json",
        "own/tables/own-mine.csv",
        "own/tables/own-mine.md",
        "own/tables/own-mine.tex",
    }


def test_a_plan_with_both_writes_both_reports(project):
    """Each has its own exhibits alone, and counts its own runs."""
    plan = project(scale="lite", exhibits=["distpro/table1", "own"], tables=[TABLE])
    pages = write_report(plan.graph, plan.paths)
    study, own = (page.read_text(encoding="utf-8") for page in pages)

    assert pages == readmes(plan.graph, plan.paths)
    assert "[Mine # 1](" in own and "[Mine # 1](" not in study
    assert "(tables/distpro-table1.md)" in study and "distpro-table1" not in own
    assert "The papers' claims" in study and "The papers' claims" not in own


def test_an_own_table_shows_its_teacher_its_comparisons_and_its_sizes(project):
    """Title, the teacher's row, the decided lead and the measured networks stand on the page."""
    plan = own_plan(project)
    (page,) = write_report(plan.graph, plan.paths)
    text = (page.parent / "tables/own-mine.md").read_text(encoding="utf-8")

    assert "# Mine # 1" in text
    assert "| **Teacher**" in text and "75.00 (1)" in text
    assert "KD against" in text and "better, by more than chance" in text
    assert "Parameters and multiply-adds" in text and "0.8 M, 88 M" in text


def test_sizes_are_shown_only_where_they_are_asked_for(project):
    """The same table without `sizes` has no such lines."""
    plan = project(scale="lite", exhibits=["own"], tables=[{**TABLE, "sizes": False}])
    for cell in plan.graph.cells["own/mine"]:
        evaluate(plan, cell.evaluation, [70.0])
    (page,) = write_report(plan.graph, plan.paths)

    alone = page.parent / "tables/own-mine.md"
    assert "multiply-adds" not in alone.read_text(encoding="utf-8")


def test_no_text_of_a_user_is_html_in_a_report(project):
    """A title with a script, in Markdown and in pages; the reports' own tags stay."""
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    tables = [{**TABLE, "title": script}]
    plan = project(scale="lite", exhibits=["own"], tables=tables, datasets=["cifar10"])
    (page,) = write_report(plan.graph, plan.paths)
    texts = {p.name: p.read_text() for p in page.parent.rglob("*") if p.suffix in (".md", ".html")}

    assert len(texts) >= 3
    assert not [n for n, text in texts.items() if "<script>alert" in text or "<img src=x" in text]
    assert "&lt;script>alert(1)&lt;/script>&lt;img src=x" in texts["README.md"]
    assert "<br>→ " in texts["own-mine.md"]


def test_rows_that_share_a_label_stay_two_rows(project):
    """Two methods that params.yaml gives one name have a line of numbers each."""
    labels = {"none": "Same", "kd": "Same"}
    plan = project(scale="lite", exhibits=["own"], tables=[{**TABLE, "labels": labels}])
    _, alone, taught = plan.graph.cells["own/mine"]
    evaluate(plan, alone.evaluation, [70.0])
    evaluate(plan, taught.evaluation, [72.0])
    (page,) = write_report(plan.graph, plan.paths)

    lines = (page.parent / "tables/own-mine.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("|")[2].split()[0] for line in lines if "**Same**" in line] == [
        "70.00",
        "72.00",
    ]


def test_a_report_of_own_tables_alone_speaks_of_no_paper(project):
    """Nothing stands beside its numbers; a share of the images is named where one is taken."""
    for share, named in ((1.0, False), (0.1, True)):
        plan = own_plan(project, scales={"lite": {"train_share": share}})
        (own,) = write_report(plan.graph, plan.paths)
        texts = [own.read_text(encoding="utf-8")]
        texts += [(own.parent / f"{n}.html").read_text(encoding="utf-8") for n in ("index", "mine")]
        for text in texts:
            assert "published ones beside them" not in text and "as the paper reports" not in text
            assert ("a share of the training images" in text) == named
        assert "<h1>Your tables</h1>" in texts[1] and "distillation papers" not in texts[1]


def test_an_imported_teacher_is_not_described_as_trained_here(project):
    """Neither its epoch nor a recipe of ours; a note on chosen epochs is about trained ones."""
    tables = [{**TABLE, "methods": ["teacher", "none", "kd"]}]
    plan = project(
        scale="lite",
        exhibits=["own"],
        tables=tables,
        teachers={"cifar100/resnet56": "0" * 64},
    )
    for cell in plan.graph.cells["own/mine"]:
        evaluate(
            plan, cell.evaluation, [75.0] if cell.row.role == "teacher" else [70.0, 71.0, 72.0]
        )
    (own,) = write_report(plan.graph, plan.paths)
    page = (own.parent / "pages/own-mine.html").read_text(encoding="utf-8")

    assert "imported" in page and "taken at its" not in page
    assert "Teachers are taken at the epoch" not in page
    assert page.count("<dt>recipe.epochs</dt>") == 2  # of the two students
