"""Depth from data to evaluation: killed anywhere, it ends in the same bits.

The shorter tests of this kind are those of segmentation.
"""

import json
import shutil

import pytest
import torch
from test_segmentation_runs import SCALE, check_killed_run, record
from tiny_project import TinyProject

from kdbench.data.loaders.mapped import image_measured
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs.check import check
from kdbench.runs.estimate.lengths import data_size
from kdbench.runs.estimate.measure import Budget, measure
from kdbench.runs.export import export_run, load
from kdbench.runs.held_out import places
from kdbench.runs.job import Inputs
from kdbench.store.panels import as_png

NETWORK = "sparse-to-dense-resnet18"
PAIR = f"{NETWORK}_{NETWORK}"
SPACE = {"maps": ["t2-s2", "t3-s3", "t5-s5"], "transforms": ["2conv"]}
TABLE = {
    "id": "depths",
    "dataset": "nyuv2",
    "pairs": [f"{NETWORK}:{NETWORK}"],
    "methods": ["none", "distpro+kd_depth"],
    "protocol": "nyuv2",
}
TEACHER = f"teacher/{NETWORK}"
SEARCH = f"search/{PAIR}_distpro"
STUDENT = f"student/{PAIR}_distpro+kd_depth_s0"
EVALUATION = f"evaluation/{PAIR}_distpro+kd_depth"


def project_at(root):
    """A project of small networks on scenes of digits."""
    return TinyProject(
        root,
        datasets=["nyuv2"],
        exhibits=["own"],
        pairs=[],
        seeds=1,
        tables=[TABLE],
        methods={"distpro": SPACE},
        searches={"distpro": SPACE},
        scales={"smoke": SCALE},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project whose runs were never interrupted."""
    project = project_at(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        project.run(EVALUATION)
    return project


@pytest.mark.slow
def test_records_hold_the_scores_of_the_task(whole):
    """A curve of RMSE; the best epoch is the one of the smallest; both kinds of mean."""
    student = record(whole, STUDENT)
    assert student["spec"]["params"]["task"] == "depth"
    assert student["spec"]["params"]["recipe"]["modality"] == "rgbd50"
    curve = student["curves"]["test_rmse"]
    assert len(curve) == 2
    assert student["metrics"]["best"]["rmse"] == min(curve)
    assert all(name in " ".join(student["curves"]) for name in ("task", "kd_depth", "pathways"))
    evaluation = record(whole, EVALUATION)["metrics"]
    (run,) = evaluation["runs"]
    assert run["last"]["rmse"] == student["metrics"]["last"]["rmse"]
    assert {"rmse_per_pixel", "absrel", "lg10", "mae", "delta1", "delta3"} <= set(run["last"])
    assert evaluation["classes"] == ["metres"]
    assert evaluation["macs"] > 0
    truth = next(file for file in whole.root.rglob("records/data/*/*.json") if "nyuv2" in str(file))
    panels = [record(whole, EVALUATION)["panels"], json.loads(truth.read_text())["panels"]]
    assert panels[0]["of"] == panels[1]["of"]
    near, far = panels[0]["metres"]
    assert 0 < near < far <= 10.1
    assert panels[1]["metres"] == [near, far]
    assert as_png(panels[0]["guess"])


@pytest.mark.slow
def test_the_search_holds_out_whole_scenes(whole):
    """Neighbouring frames are almost twins; its weights move."""
    search = record(whole, SEARCH)
    assert search["process"]["pathways"] == ["t2-s2-2conv", "t3-s3-2conv", "t5-s5-2conv"]
    assert search["process"]["weights"][0] != search["process"]["weights"][-1]
    run = whole.spec(SEARCH)
    data = Inputs(whole.paths).data(run.data)
    fit, held = places(run.search.validation_share, data)
    scenes = data.labels("train")
    assert not {*scenes[fit].tolist()} & {*scenes[held].tolist()}
    assert image_measured(data, run.recipe) == (4, 32, 48)


@pytest.mark.slow
def test_an_exported_network_sees_colours_and_depths(whole, tmp_path):
    """Its card says what the fourth channel is, and what was measured on the test set."""
    export_run(whole.spec(STUDENT), whole.paths, tmp_path)
    network, about = load(tmp_path)

    assert list(about.image) == [4, 32, 48]
    assert network(torch.zeros(1, *about.image)).shape == (1, 1, 32, 48)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    rmse = record(whole, STUDENT)["metrics"]["best"]["rmse"]
    assert f"{100 * rmse:.2f} cm RMSE on the test set" in card
    assert about.task == "depth" and about.scores["rmse"] == rmse and about.top1 is None
    assert "pipeline_tag: depth-estimation" in card
    assert "| depth per pixel | in metres |" in card and "in metres\n```" in card
    for word in ("classes", "accuracy", "logits", "teacher import"):
        assert word not in card
    assert "4 x 32 x 48" in card
    assert "The last channel is a depth map in metres" in card


def test_check_tries_every_run_and_finds_nothing_wrong(tmp_path):
    """On noise of the networks' shapes, four channels and unmeasured depths included."""
    assert check(load_graph(project_at(tmp_path).root), lambda _: None) == []


@pytest.mark.slow
def test_estimate_foretells_steps_and_multiply_adds(whole, tmp_path):
    """On random images with depths, where nothing was prepared or run."""
    fresh, components = project_at(tmp_path / "fresh"), find_components()
    runs = [fresh.spec(name) for name in (TEACHER, SEARCH, STUDENT)]
    foretold = measure(
        runs,
        lambda data: data_size(data, components, fresh.paths),
        fresh.paths,
        torch.device("cpu"),
        Budget(tflops=1.0),
        lambda _: None,
    )

    for name, run in zip((TEACHER, SEARCH, STUDENT), runs, strict=True):
        cost, work = record(whole, name)["cost"], foretold.work[run.digest]
        assert (work.steps, work.macs) == (cost["steps"], cost["macs"]), name


@pytest.mark.slow
@pytest.mark.parametrize("name", [TEACHER, SEARCH, STUDENT])
def test_a_killed_run_ends_in_the_same_bits(whole, tmp_path, name):
    """Teacher, search and student: `kill -9` between two checkpoints, then the same command."""
    shutil.copytree(whole.root, tmp_path / "project")
    check_killed_run(whole, TinyProject(tmp_path / "project"), name)
