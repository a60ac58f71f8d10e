"""Cells of a table: ours beside the published number."""

import csv
import io
from dataclasses import replace
from math import isclose, sqrt

import pytest
from finished import carve, evaluate, plan_of

from kdbench.errors import UserError
from kdbench.exhibits.published import Published
from kdbench.papers import published_numbers
from kdbench.report.presentation import number
from kdbench.report.readings import cells as tables
from kdbench.report.readings.banner import banner
from kdbench.report.readings.lines import frame, read_lines
from kdbench.report.readings.records import CellState, Records
from kdbench.report.readings.statistics import estimate
from kdbench.report.readings.verdict import Verdict
from kdbench.report.table_page import table_markdown
from kdbench.store.atomic import write_json
from kdbench.store.record import write_record

RUNS = [76.3, 76.4, 76.35, 76.3, 76.4]


def table_of(project):
    """All results of table 1, and by (row label, column number)."""
    cells = tables.results(project.graph, project.table, Records(project.paths))
    pairs = project.table.pairs
    return cells, {(r.cell.row.label, pairs.index(r.cell.column.pair)): r for r in cells}


def frame_of(project):
    """The data frame of table 1."""
    return frame(read_lines(project.graph, project.table, Records(project.paths)))


def markdown_of(project):
    """Table 1 as Markdown."""
    records = Records(project.paths)
    cells = tables.results(project.graph, project.table, records)
    return table_markdown(project.graph, project.table, cells, records)


def line_of(markdown, method, kind):
    """The cells of one line of the main table."""
    lines = [[c.strip() for c in x.split("|")[1:-1]] for x in markdown.splitlines() if "|" in x]
    start = next(i for i, line in enumerate(lines) if line[0] == f"**{method}**")
    return next(line for line in lines[start:] if line[1] == kind)[2:]


def test_a_cell_holds_the_hand_computed_mean_spread_and_count(project):
    """Runs of 70, 71 and 73 have the mean 71.33 and the sample deviation sqrt(7/3) = 1.53."""
    plan = project(scale="smoke")
    plan.evaluate("KD (added by us)", [70.0, 71.0, 73.0])

    result = table_of(plan)[1]["KD (added by us)", 0]

    assert isclose(result.ours.std, sqrt(7 / 3)) and result.ours.n == 3
    assert line_of(markdown_of(plan), "KD (added by us)", "ours")[0] == "**71.33 ± 1.53 (3)**"


def test_a_single_run_prints_no_spread():
    """One run prints its value and that it is one."""
    assert number(estimate([70.0]), CellState.DONE) == "70.00 (1)"


def test_the_reported_epoch_is_the_best_and_the_last_stands_below(project):
    """The review protocol reports the best epoch; the last epoch's means are shown as well."""
    plan = project(scale="smoke")
    plan.evaluate("student", [70.0, 71.0, 72.0], last=[60.0, 61.0, 62.0])

    result = table_of(plan)[1]["student", 0]
    above, _, below = markdown_of(plan).partition("last epoch")

    assert (result.ours.mean, result.last.mean) == (71.0, 61.0)
    assert "71.00" in above and "61.00" not in above and "61.00" in below


def test_a_cell_that_only_lacks_its_measurement_says_so(project):
    """All its students have records; its evaluation has none."""
    plan = project(scale="smoke")
    evaluation = plan.cell("KD (added by us)").evaluation
    plan.evaluate("KD (added by us)", [70.0] * len(evaluation.runs))
    for run in evaluation.runs:
        content = {"spec": run.as_dict(), "provenance": {"code": "x"}}
        write_record(plan.paths.record(run), content)
    plan.paths.record(evaluation).unlink()

    states = [table_of(plan)[1]["KD (added by us)", column].state for column in (0, 1)]
    assert states == [CellState.TRAINED, CellState.NOT_RUN]


def test_a_cell_whose_run_diverged_says_so(project):
    """A note names the run and its epoch; once the cell is finished it shows its number."""
    plan = project(scale="smoke")
    evaluation = plan.cell("KD (added by us)").evaluation
    file = plan.paths.diverged(evaluation.runs[1])
    write_json(file, {"schema": 1, "title": "student x", "said": "epoch 0: the loss is nan"})

    markdown = markdown_of(plan)

    assert line_of(markdown, "KD (added by us)", "ours")[:2] == ["diverged", "not run yet"]
    assert markdown.count("- Diverged: student x: epoch 0: the loss is nan.") == 1
    plan.evaluate("KD (added by us)", [70.0, 71.0, 73.0])
    assert line_of(markdown_of(plan), "KD (added by us)", "ours")[0] == "**71.33 ± 1.53 (3)**"


def test_a_printed_variance_becomes_a_standard_deviation(project):
    """DistPro's printed 0.005 is shown as 0.07, in the table and in the CSV."""
    plan = project(scale="smoke")
    _, cells = table_of(plan)

    assert isclose(cells["DistPro", 0].published.spread, sqrt(0.005))
    assert line_of(markdown_of(plan), "DistPro", "published")[0] == "76.36 ± 0.07 (5)"
    assert frame_of(plan)["published_spread"].min() > 0.06


@pytest.mark.parametrize(("methods", "printed"), [(["distpro"], True), (["kd"], False)])
def test_printed_variances_are_spoken_of_where_some_are_shown(project, methods, printed):
    """Not where params.yaml keeps rows that the paper does not have."""
    text = markdown_of(project(scale="smoke", methods_only=methods))

    assert ("The paper prints variances" in text) is printed


def test_every_published_number_of_the_table_is_found_by_a_cell(project):
    """The cells of table 1 match exactly the numbers that the CSV has for it."""
    plan = project(scale="paper")
    matched = set()
    for cell in plan.graph.cells[plan.table.id]:
        teacher, student = tables.labels(plan.graph, cell.column.pair)
        setting = plan.table.setting.format(teacher=teacher, student=student)
        if tables.published(plan.graph, plan.table, cell.row, cell.column):
            matched.add((setting, cell.row.published))

    numbers = published_numbers("distpro.csv")
    printed = {(setting, row) for exhibit, setting, row, _ in numbers if exhibit == "table1"}
    assert printed and matched == printed


def test_cells_without_a_number_say_why(project):
    """Cells that are not run, not built or not published say so, each in its own words."""
    plan = project(scale="smoke")
    text = markdown_of(plan)

    assert line_of(text, "DistPro", "ours") == ["not run yet"] * 6
    crd = markdown_of(project(scale="smoke", exhibits=["crd/table1"]))
    assert line_of(crd, "FSP", "ours") == ["not built yet"] * 7
    assert line_of(text, "KD (added by us)", "published") == ["not known"] * 6
    assert line_of(text, "L2T-ww+", "published")[1:4] == ["not known", "76.35", "77.39"]


def test_what_params_leave_out_leaves_the_table_but_is_named(project):
    """A note names what params.yaml leaves out; the CSV still has all cells."""
    plan = project(scale="smoke", pairs=["wrn-40-2:wrn-16-2"], methods_only=["kd"])
    results, cells = table_of(plan)
    text = markdown_of(plan)

    assert cells["KD (added by us)", 1].state is CellState.LEFT_OUT
    assert len(line_of(text, "KD (added by us)", "ours")) == 1 and "**DistPro**" not in text
    assert "Left out by params.yaml: WRN-40-2 → ShuffleNet-v1" in text
    assert "<br>" not in "".join(line for line in text.splitlines() if line.startswith("- "))
    assert len(results) == len(plan.table.rows) * len(plan.table.pairs)


def test_verdicts_need_the_paper_scale(project):
    """The same runs are judged at the paper scale and not comparable at smoke."""
    outcomes = {}
    for scale in ("smoke", "paper"):
        plan = project(scale=scale)
        plan.evaluate("DistPro", RUNS)
        outcomes[scale] = table_of(plan)[1]["DistPro", 0]
        assert ("| verdict" in markdown_of(plan)) is (scale == "paper")

    assert outcomes["smoke"].verdict is Verdict.NOT_COMPARABLE and outcomes["smoke"].gap is None
    assert outcomes["paper"].verdict is Verdict.REPRODUCED
    assert isclose(outcomes["paper"].gap, -0.01, abs_tol=1e-9)


def test_the_verdict_stands_in_the_table_with_its_gap(project):
    """A reproduced cell says so with the signed gap, and the summary counts it."""
    plan = project(scale="paper")
    plan.evaluate("DistPro", RUNS)
    text = markdown_of(plan)

    assert line_of(text, "DistPro", "verdict")[0] == "reproduced (−0.01 ± 0.09; from 0.59)"
    assert "Verdicts of 1 compared cells: 1 reproduced." in text


@pytest.mark.parametrize(
    "change",
    [
        {"scales": {"paper": {"student_epochs": 10}}},
        {"methods": {"distpro": {"tau": 0.1}}},
        {"searches": {"distpro": {"alpha_lr": 0.1}}},
        {"teachers": {"cifar100/wrn-40-2": "0" * 64}},
    ],
)
def test_a_changed_protocol_is_not_judged(project, change):
    """Other epochs, a method with other constants or another's teacher: there is no verdict."""
    plan = project(scale="paper", **change)
    plan.evaluate("DistPro", RUNS)

    assert table_of(plan)[1]["DistPro", 0].verdict is Verdict.NOT_COMPARABLE


def test_a_teacher_from_elsewhere_stands_in_the_banner_and_bars_the_verdicts_of_its_column(project):
    """Students of the other pairs are judged as before."""
    plan = project(scale="paper", teachers={"cifar100/wrn-40-2": "0" * 64})
    for cell in plan.graph.cells["distpro/table1"]:
        if cell.row.label == "DistPro" and cell.evaluation:
            evaluate(plan, cell.evaluation, RUNS)
    verdicts = {
        result.cell.column.pair.teacher: result.verdict
        for result in table_of(plan)[0]
        if result.ours
    }

    assert "takes teachers trained elsewhere: cifar100/wrn-40-2" in banner(plan.graph)
    assert verdicts.pop("wrn-40-2") is Verdict.NOT_COMPARABLE
    assert verdicts and Verdict.NOT_COMPARABLE not in verdicts.values()


def test_the_csv_can_be_read_back(project):
    """It has one line per cell, its numbers keep all digits, a finished cell names its record."""
    plan = project(scale="paper")
    plan.evaluate("DistPro", RUNS)
    frame = frame_of(plan)

    back = list(csv.DictReader(io.StringIO(frame.to_csv(index=False))))

    (done,) = [line for line in back if line["state"] == "done"]
    assert len(back) == 48 and list(done) == list(frame.columns)
    assert float(done["ours_mean"]) == estimate(RUNS).mean and done["n"] == "5"
    assert (plan.paths.root / done["record"]).is_file()


def test_the_footer_names_what_the_numbers_were_made_with(project):
    """Device, precision, commit, torch and hours come from the records, each run once."""
    plan = project(scale="smoke")
    plan.evaluate("KD (added by us)", [70.0, 71.0, 72.0])
    for spec in plan.cell("KD (added by us)").evaluation.with_upstream():
        if spec.phase in ("student", "teacher"):
            plan.write(spec)

    last = markdown_of(plan).strip().splitlines()[-1]

    assert "seeds 0, 1, 2; device test device; precision float32" in last
    assert "commit 0123456789; torch 2.9.0; 2.5 h of work; finished runs: 5" in last


def test_a_source_other_than_the_paper_is_marked(project, monkeypatch):
    """A number that was not read in the paper has a dagger, and a note names its source."""
    second_hand = Published(70.0, None, "secondary summary")
    monkeypatch.setattr(tables, "published", lambda *_: second_hand)
    text = markdown_of(project(scale="smoke"))

    assert line_of(text, "DistPro", "published")[0] == "70.00 †"
    assert "- † Source: secondary summary.\n" in text


def test_every_source_has_a_mark_of_its_own_and_one_note(project, monkeypatch):
    """Two sources, alternating by column: two marks, and either is explained once."""

    def second_hand(_graph, _table, _row, column):
        pairs = project(scale="smoke").table.pairs
        return Published(70.0, None, f"summary {pairs.index(column.pair) % 2}")

    monkeypatch.setattr(tables, "published", second_hand)
    text = markdown_of(project(scale="smoke"))

    assert line_of(text, "DistPro", "published")[:3] == ["70.00 †", "70.00 §", "70.00 †"]
    assert text.count("Source: ") == text.count("- † Source: summary 0.\n") + 1
    assert text.count("- § Source: summary 1.\n") == 1


@pytest.mark.parametrize(
    "metrics",
    [{}, {"runs": []}, {"runs": [{"best": {"top1": "x"}}]}, {"runs": [{"last": {"top1": 1.0}}]}],
)
def test_a_damaged_record_is_one_line(project, metrics):
    """The error names the file and the place in it, in one line."""
    plan = project(scale="smoke")
    path = plan.write(plan.cell("DistPro").evaluation, metrics)

    with pytest.raises(UserError) as caught:
        table_of(plan)

    assert str(path) in str(caught.value) and "metrics.runs" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_runs_record_is_refused(project):
    """A record that was renamed by hand is not taken for this run's."""
    plan = project(scale="smoke")
    path = plan.evaluate("DistPro", [70.0, 71.0, 72.0])
    path.rename(plan.paths.record(plan.cell("KD (added by us)").evaluation))

    with pytest.raises(UserError, match=r"spec\.digest"):
        table_of(plan)


def test_a_bar_in_a_label_does_not_break_the_table(project):
    """Bars in a row's label are escaped, as in a/|a|_1 of DistPro's Table 7."""
    plan = project(scale="smoke")
    cells = plan.graph.cells[plan.table.id]
    plan.graph.cells[plan.table.id] = [replace(c, row=replace(c.row, label="|a|")) for c in cells]

    assert r"**\|a\|**" in markdown_of(plan)


def test_a_table_of_our_own_has_no_lines_of_published_numbers(project):
    """Each method has one line, and the legend names the protocol, not authors."""
    plan = project(exhibits=["ours/controls"])
    plan.evaluate("DFA", [70.0, 71.0, 73.0])
    text = markdown_of(plan)

    (line,) = (x for x in text.splitlines() if x.startswith("| **DFA** "))
    assert [c.strip() for c in line.split("|")[1:-1]] == ["**DFA**", "71.33 ± 1.53 (3)"]
    assert "published" not in text.partition("*Made with")[0]
    assert "which is what the protocol reports" in text


def sbs_cells(plan):
    """The cells of SBS's Table 1 by row, of its first column."""
    cells = tables.results(plan.graph, plan.table, Records(plan.paths))
    return {r.cell.row.label: r for r in cells if r.cell.column == plan.table.all_columns[0]}


@pytest.mark.parametrize(
    ("params", "met", "verdict"),
    [
        ({}, True, Verdict.REPRODUCED),
        ({}, False, Verdict.NOT_COMPARABLE),
        ({"searches": {"sbs_kl": {"budget": 0.6}}}, True, Verdict.NOT_COMPARABLE),
        ({"searches": {"sbs_np": {"budget": 0.6}}}, True, Verdict.REPRODUCED),
    ],
)
def test_a_pruned_student_of_another_size_gets_no_verdict(project, params, met, verdict):
    """A verdict needs the declared parameters and a met budget; a missed budget is marked."""
    plan = plan_of(project, "sbs/table1", seeds=3, **params)
    cell = sbs_cells(plan)["found by KL, weighted"].cell
    evaluate(plan, cell.evaluation, [94.48, 94.49, 94.50], reported="last")
    carve(plan, cell.evaluation.structure, met=met)

    result = sbs_cells(plan)["found by KL, weighted"]
    text = markdown_of(plan)

    assert result.verdict is verdict
    assert ("94.49" not in text) and ("5.51 ± 0.01 (3) ¶" in text) == (not met)
    assert ("¶ Larger than it should be" in text) == (not met)


def test_published_numbers_that_are_not_comparable_get_no_verdict(project):
    """The CSV marks all printed numbers on CINIC-10 so, and no cell of them is judged."""
    plan = plan_of(project, "dfa/table2", seeds=3)
    for cell in plan.graph.cells["dfa/table2"]:
        evaluate(plan, cell.evaluation, [85.0, 85.1, 85.2], reported="best")
    cells = tables.results(plan.graph, plan.table, Records(plan.paths))

    verdicts = [r.verdict for r in cells if r.published]
    assert verdicts and set(verdicts) == {Verdict.NOT_COMPARABLE}


def test_a_table_that_chooses_shows_the_last_epoch_of_held_out_images(project):
    """Its legend names the last epoch and held-out images; the best epoch's number is absent."""
    plan = plan_of(project, "dfa/tuning")
    cell = plan.graph.cells["dfa/tuning"][0]
    runs = [{"seed": 0, "last": {"top1": 60.0}, "best": {"top1": 70.0, "epoch": 2}}]
    plan.write(cell.evaluation, {"reported": "best", "runs": runs})
    text = markdown_of(plan)

    assert "at the last epoch, on training images that are held out." in text
    assert "60.00 (1)" in text and "70.00" not in text
    assert "test set" not in text.partition("- ")[0]


def test_a_pruned_student_is_named_after_the_network_it_was_pruned_from(project):
    """The column's head and the CSV name the network that the search pruned."""
    plan = plan_of(project, "ours/students")
    frame = frame_of(plan)

    assert set(frame["student"]) == {"found in WRN-40-2"}
    assert "WRN-40-2<br>→ found in WRN-40-2" in markdown_of(plan)
