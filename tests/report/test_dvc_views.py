"""What the report writes for DVC's own commands."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from made_up import Project

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.report.dvc_views import _name, dvc_files, mean_curve
from kdbench.report.make import make_report
from kdbench.report.readings.lines import read_lines
from kdbench.report.readings.records import Record, Records

ROOT = Path(__file__).parents[2]
PAIR = "WRN-40-2 → WRN-16-2"


def trained(plan, row, *curves):
    """Finish a cell's students with curves, and its evaluation with the last values."""
    evaluation = plan.cell(row).evaluation
    for run, values in zip(evaluation.runs, curves, strict=True):
        epochs = list(range(1, len(values) + 1))
        plan.write(run, curves={"epoch": epochs, "test_top1": values, "task": values})
    plan.evaluate(row, [values[-1] for values in curves])


def report_of(plan):
    """The metrics, and the curves by file name."""
    folder = make_report(plan.graph, plan.paths).parent
    curves = {path.name: path.read_text() for path in folder.glob("curves/*")}
    return json.loads((folder / "metrics.json").read_text()), curves


def test_metrics_are_the_means_of_finished_cells(project):
    """By exhibit, row and column; what is not finished is left out."""
    plan = project(scale="smoke", seeds=2)
    plan.evaluate("DistPro", [70.0, 71.0])

    assert report_of(plan)[0] == {"distpro/table1": {"DistPro": {PAIR: 70.5}}}


def test_a_curve_has_the_mean_over_the_runs_and_a_name_without_digest(project):
    """At epochs at which every run was measured; another parameter gives the same file name."""
    rows = "epoch,test_top1\n2,60.5\n3,70.5\n"
    for scales in ({}, {"smoke": {"student_epochs": 3}}):
        plan = project(scale="smoke", seeds=2, scales=scales)
        trained(plan, "DistPro", [None, 60.0, 70.0], [50.0, 61.0, 71.0])

        assert report_of(plan)[1] == {"cifar100-wrn-40-2_wrn-16-2_distpro-review.csv": rows}


def test_a_curve_of_a_cell_that_is_not_shown_any_more_goes(project):
    """The folder has the curves of the plan that the first page shows."""
    plan = project(scale="smoke", seeds=1)
    trained(plan, "DistPro", [60.0, 70.0])
    assert len(report_of(plan)[1]) == 1
    other = project(scale="smoke", seeds=1, pairs=["resnet56:resnet20"])

    assert report_of(other) == ({}, {})


def test_a_long_curve_is_thinned_to_its_first_and_last_epoch_and_some_between(project):
    """At most 50 points."""
    values = [float(epoch) for epoch in range(240)]
    record = Record(None, {"curves": {"epoch": values, "test_top1": values}})
    run = project(seeds=1).cell("DistPro").evaluation.first
    points = mean_curve([(run, record)])

    assert len(points) == 50
    assert (points[0], points[-1]) == ((0.0, 0.0), (239.0, 239.0))


def test_records_without_curves_have_none(project):
    """Imported teachers, and runs that are not finished."""
    run = project(seeds=1).cell("DistPro").evaluation.first
    assert mean_curve([(run, None)]) == []
    assert mean_curve([(run, Record(None, {"curves": {}}))]) == []


@pytest.mark.parametrize(
    "exhibit, dataset, key, shown",
    [("ours/camvid", "camvid", "miou", 1.0), ("distpro/table6", "nyuv2", "rmse", 100.0)],
)
def test_curves_and_metrics_are_of_the_task_s_own_score(tmp_path, exhibit, dataset, key, shown):
    """The curve as records have it, the metric in the table's unit: RMSE in centimetres."""
    scale = "lite" if dataset == "camvid" else "paper"
    plan = Project(tmp_path, exhibits=[exhibit], datasets=[dataset], scale=scale)
    cell = next(one for one in plan.graph.cells[exhibit] if one.row.label == "baseline")
    evaluation, rows = cell.evaluation, []
    for run in evaluation.runs:
        plan.write(run, curves={"epoch": [1, 2], f"test_{key}": [0.75, 0.5], "test_top1": [9, 9]})
        scores = {key: 0.5, "epoch": 2}
        rows.append({"seed": run.seed, "last": scores, "best": scores, "selected": None})
    plan.write(evaluation, {"reported": "last", "runs": rows})
    metrics, curves = report_of(plan)

    (values,) = metrics[exhibit]["baseline"].values()
    assert values == 0.5 * shown
    (curve,) = curves.values()
    assert curve == f"epoch,test_{key}\n1,0.75\n2,0.5\n"


def test_dvc_plots_the_last_column_of_each_curve():
    """DVC's default, because the columns' names differ; the first is the horizontal axis."""
    (plot,) = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]

    ((folder, properties),) = plot.items()
    assert folder == "reports/${scale}/curves"
    assert (properties["x"], "y" in properties) == ("epoch", False)


def test_cells_that_differ_in_the_number_of_seeds_share_the_curve_of_the_most(project):
    """In whatever order the tables come."""
    plan = project(scale="smoke", seeds=3)
    trained(plan, "DistPro", [60.0], [61.0], [62.0])
    line = next(
        one
        for one in read_lines(plan.graph, plan.table, Records(plan.paths))
        if one.row == "DistPro" and one.now
    )
    fewer = replace(line, runs=line.runs[:1])

    both = [dvc_files(order) for order in ([line, fewer], [fewer, line])]
    assert both[0] == both[1] == dvc_files([line]) != dvc_files([fewer])


def test_a_curve_s_name_leaves_out_how_images_are_cut_and_measured():
    """Names of protocols of dense tasks say so after a comma; a file's name holds none."""
    graph = make_graph(Params(scale="lite", exhibits=["ours/camvid"]))
    evaluations = [cell.evaluation for cell in graph.cells["ours/camvid"]]
    names = {_name(SimpleNamespace(runs=[(e.first, None)], evaluation=e)) for e in evaluations}

    assert len(names) == len(evaluations)
    assert "camvid-pspnet-resnet18_pspnet-mobilenet-v2_reviewkd-camvid" in names
