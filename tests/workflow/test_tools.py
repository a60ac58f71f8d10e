"""The tools' own views, by the real tools: Snakemake's report, lint and graph; DVC's tables."""

import json

import pytest
from made_up_study import Study
from small_project import PARAMS, new_project

CHANGES = {"exhibits": ["distpro/table1", "distpro/figure6"], "seeds": 2}
CELL = "distpro/table1.KD (added by us).ResNet56 → ResNet20"
CURVE = "reports/lite/curves/cifar100-resnet56_resnet20_kd-review.csv"


@pytest.fixture(scope="module")
def shown_once(tmp_path_factory):
    """A project with made-up records, its report and both in a commit; never changed."""
    project = new_project(tmp_path_factory.mktemp("tools") / "project", **CHANGES)
    study = Study(project.root, **{**PARAMS, **CHANGES})
    study.finish()
    project("kdbench", "report")
    project.commit("Results")
    return project


@pytest.fixture
def project(shown_once, tmp_path):
    """A copy for one test to change."""
    return shown_once.copy(tmp_path / "project")


@pytest.fixture
def changed(project):
    """The project after another KD: a parameter, its metric and its curve differ from HEAD."""
    project.edit(methods={"kd": {"temperature": 8.0}})
    file = project.root / "reports/lite/metrics.json"
    file.write_text(file.read_text().replace("70.0", "71.5"))
    curve = project.root / CURVE
    curve.write_text(curve.read_text() + "3,71.5\n")
    return project


def test_the_snakefile_is_clean_by_snakemakes_own_check(project):
    """`--lint` has nothing to say."""
    assert "your workflow is in a good condition" in project("snakemake", "--lint")


@pytest.mark.slow
def test_snakemakes_report_shows_every_written_exhibit_with_its_caption(project):
    """One file of HTML: tables by paper, with labels and captions."""
    project("snakemake", "--report", "report.html")
    page = (project.root / "report.html").read_text()

    assert "DistPro, Table 1: CIFAR-100" in page
    assert "reports/lite/tables/distpro-table1.csv" in page
    assert "One line per cell" in page and "At scale lite." in page
    assert '"distpro"' in page


@pytest.mark.slow
def test_snakemakes_graph_draws_what_is_finished_dashed(project):
    """`--dag` writes Graphviz; a deleted record's run and what follows from it are solid."""
    graph = project("snakemake", "--dag")
    assert "digraph snakemake_dag" in graph
    nodes = graph.count("[label")
    assert graph.count("dashed") == nodes

    min(project.root.glob("results/lite/records/evaluation/cifar100/*_kd.*.json")).unlink()
    graph = project("snakemake", "--dag")
    assert graph.count("[label") == nodes
    assert graph.count("dashed") == nodes - 3  # the evaluation, the report and the target


def test_metrics_are_shown_and_compared(changed):
    """`dvc metrics show` has every finished cell, `diff` the one that changed."""
    shown = json.loads(changed("dvc", "metrics", "show", "--json"))
    data = shown[""]["data"]["reports/lite/metrics.json"]["data"]
    assert data["distpro/table1"]["KD (added by us)"]["ResNet56 → ResNet20"] == 71.5

    differences = json.loads(changed("dvc", "metrics", "diff", "--json"))
    assert differences["reports/lite/metrics.json"][CELL] == {"old": 70.0, "new": 71.5, "diff": 1.5}


def test_changed_parameters_are_shown(changed):
    """`dvc params diff` names the key and both values."""
    differences = json.loads(changed("dvc", "params", "diff", "--json"))

    assert differences == {"params.yaml": {"methods.kd.temperature": {"old": None, "new": 8.0}}}


@pytest.mark.slow
def test_curves_are_plotted_and_compared(changed):
    """`dvc plots show` writes a page; `diff` has a point per epoch and commit."""
    changed("dvc", "plots", "show")
    assert "test_top1" in (changed.root / "dvc_plots/index.html").read_text()

    shown = json.loads(changed("dvc", "plots", "diff", "--json"))
    (plot,) = (content for name, content in shown["data"].items() if name.endswith("kd-review.csv"))
    text = json.dumps(plot)
    assert "workspace" in text and "HEAD" in text and "71.5" in text


def experiments(project):
    """What `dvc exp show` lists below the last commit: names with their metrics' tables."""
    shown = json.loads(project("dvc", "exp", "show", "--json"))
    commit = next(entry for entry in shown if entry["rev"] != "workspace")
    names = {}
    for experiment in commit["experiments"] or ():
        (revision,) = experiment["revs"]
        metrics = (revision["data"] or {}).get("metrics", {}).get("reports/lite/metrics.json", {})
        names[experiment["name"]] = {*metrics.get("data", {}).get("distpro/table1", {})}
    return names


@pytest.mark.slow
def test_an_experiment_runs_beside_the_workspace_and_can_be_applied(project):
    """`dvc exp run --temp` makes what is missing under other parameters: here the report alone."""
    before = (project.root / "reports/lite/metrics.json").read_bytes()
    records = project.records()
    project("dvc", "exp", "run", "--temp", "--name", "alone", "--set-param", "methods_only=[none]")

    assert (project.root / "reports/lite/metrics.json").read_bytes() == before
    assert experiments(project) == {"alone": {"student", "teacher"}}
    project("dvc", "exp", "apply", "alone")
    metrics = json.loads((project.root / "reports/lite/metrics.json").read_text())
    assert {*metrics["distpro/table1"]} == {"student", "teacher"}
    assert project.records() == records


@pytest.mark.slow
def test_a_queued_experiment_waits_and_runs(project):
    """`dvc exp run --queue`, then `--run-all`, which ends with the experiment."""
    words = ("--queue", "--name", "queued", "--set-param", "methods_only=[kd]")
    project("dvc", "exp", "run", *words)
    assert "Queued" in project("dvc", "queue", "status")

    project("dvc", "exp", "run", "--run-all")
    assert "Success" in project("dvc", "queue", "status")
    assert experiments(project) == {"queued": {"KD (added by us)", "teacher"}}
