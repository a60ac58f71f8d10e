"""Segmentation from data to evaluation: killed or stopped anywhere, it ends in the same bits."""

import json
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sampling import sampled
from tiny_project import TinyProject, without_times

from kdbench.engine.precision import Precision
from kdbench.engine.stopping import Stopper
from kdbench.errors import BadValue, UserError
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs.check import check
from kdbench.runs.estimate.lengths import data_size
from kdbench.runs.estimate.measure import Budget, measure
from kdbench.runs.held_out import places
from kdbench.runs.importing import (
    ExpectedAccuracy,
    Source,
    check_precision,
    import_teacher,
)
from kdbench.runs.job import Inputs, Job
from kdbench.runs.search import build_search
from kdbench.runs.training import build_training
from kdbench.store.panels import as_png
from kdbench.store.paths import CHECKPOINT

SCALE = {
    "teacher_epochs": 2,
    "student_epochs": 2,
    "search_epochs": 2,
    "steps_per_epoch": 2,
    "evaluate_every": 1,
}
PAIR = "pspnet-mobilenet-v2_pspnet-mobilenet-v2"
SPACE = {"connections": "downward", "transforms": ["2conv"]}
TABLE = {
    "id": "scenes",
    "dataset": "camvid",
    "pairs": ["pspnet-mobilenet-v2:pspnet-mobilenet-v2"],
    "methods": ["none", "distpro+ifvd+kd_pixel"],
    "protocol": "camvid",
}
TEACHER = "teacher/pspnet-mobilenet-v2"
SEARCH = f"search/{PAIR}_distpro"
STUDENT = f"student/{PAIR}_distpro+ifvd+kd_pixel_s0"
EVALUATION = f"evaluation/{PAIR}_distpro+ifvd+kd_pixel"
KILLED = -signal.SIGKILL


def project_at(root):
    """A project of small networks on scenes of digits."""
    return TinyProject(
        root,
        datasets=["camvid"],
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


def record(project, name):
    """A run's record."""
    return json.loads(project.record_file(name).read_text())


def test_records_hold_the_scores_of_the_task(whole):
    """In place of accuracies; a curve of mIoU, and the IoU of every class."""
    student = record(whole, STUDENT)
    assert student["spec"]["params"]["task"] == "segmentation"
    assert set(student["metrics"]["last"]) == {"miou", "epoch"}
    assert len(student["curves"]["test_miou"]) == 2
    terms = " ".join(student["curves"])
    assert all(name in terms for name in ("task", "ifvd", "kd_pixel", "pathways"))
    (run,) = record(whole, EVALUATION)["metrics"]["runs"]
    assert set(run["last"]) == {"miou", "pixel_accuracy", "by_class"}
    assert len(run["last"]["by_class"]) == 11
    assert run["last"]["miou"] == student["metrics"]["last"]["miou"]


def test_records_hold_panels(whole):
    """What the network says of the very images that the data set's record shows."""
    data = json.loads(whole.paths.record(whole.spec(EVALUATION).data).read_text())
    guess = record(whole, EVALUATION)["panels"]

    assert guess["of"] == data["panels"]["of"]
    assert as_png(guess["guess"])
    assert all(as_png(data["panels"][key]) for key in ("image", "truth"))


@pytest.mark.parametrize("build", [build_search, lambda job, data: build_training(job, data, 2)])
@pytest.mark.slow
def test_searches_and_trainings_start_from_the_encoder_that_is_asked_for(whole, build):
    """So where it is not here they do not start."""
    run = whole.spec(SEARCH if build is build_search else STUDENT)
    run = replace(run, student=replace(run.student, encoder="0" * 64))
    job = Job(run, whole.paths, Stopper(), lambda *_: lambda: None)
    job.computes_with = Precision("float32", False, torch.device("cpu"))

    with pytest.raises(UserError, match="which is not here; kdbench encoder import"):
        build(job, job.inputs.data(run.data))


def test_the_search_finds_a_process_on_held_out_training_images(whole):
    """Fifteen pathways of one transform, weights that moved, and no test image within reach."""
    search = record(whole, SEARCH)
    process = search["process"]

    assert len(process["pathways"]) == 15
    assert process["weights"][0] != process["weights"][-1]
    assert "held_out" in search["curves"]
    run = whole.spec(SEARCH)
    data = Inputs(whole.paths).data(run.data)
    fit, held = places(run.search.validation_share, data)
    assert not {*fit} & {*held}
    assert {*data.splits} - {*data.training_only().splits} == {"test"}


def test_check_tries_every_run_and_finds_nothing_wrong(whole):
    """On noise of the networks' shapes, masks included."""
    assert check(load_graph(whole.root), lambda _: None) == []


@pytest.mark.slow
def test_estimate_foretells_steps_and_multiply_adds(whole, tmp_path):
    """On random images with maps, where nothing was prepared or run."""
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


def test_a_teacher_made_elsewhere_is_refused_in_one_line(whole):
    """Its claim could not be checked."""
    data = Inputs(whole.paths).data(whole.spec(TEACHER).data)
    components = find_components()
    component = components.get("network", "pspnet-resnet18", where="test")
    expected = ExpectedAccuracy(top1=None, tolerance=1.0)

    with pytest.raises(BadValue, match=r"there.pt: found 'a teacher for segmentation'"):
        import_teacher(
            Source(Path("there.pt")),
            component,
            data,
            whole.paths,
            expected,
            components=components,
            precision=check_precision(),
        )


def killed_after(project, name, saves):
    """Start a run, kill it once its checkpoint was written `saves` times; what it said."""
    process = project.start(name)
    file, seen = project.folder(name) / CHECKPOINT, set()
    began = time.monotonic()
    while len(seen) < saves and process.poll() is None and time.monotonic() - began < 300:
        try:
            seen.add(file.stat().st_mtime_ns)
        except FileNotFoundError:
            time.sleep(0.001)
    process.kill()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == KILLED, output + errors
    return output + errors


@pytest.mark.parametrize("name", sampled([TEACHER, SEARCH, STUDENT], [TEACHER]))
def test_a_killed_run_ends_in_the_same_bits(whole, tmp_path, name):
    """Teacher, search and student: `kill -9` between two checkpoints, then the same command."""
    shutil.copytree(whole.root, tmp_path / "project")
    check_killed_run(whole, TinyProject(tmp_path / "project"), name)


def check_killed_run(whole, survivor, name):
    """Kill a run of a copy of a project, start it again, and compare it with the whole one."""
    survivor.undo(name)

    killed_after(survivor, name, saves=2)
    code, output = survivor.command(name)

    assert code == 0, output
    assert re.search("continues at step [123] of 4", output), output
    folder = survivor.folder(name).relative_to(survivor.root)
    for file in (whole.root / folder).rglob("*"):
        if file.is_file():
            resumed = survivor.root / folder / file.relative_to(whole.root / folder)
            assert resumed.read_bytes() == file.read_bytes(), file.name
    assert without_times(record(survivor, name)) == without_times(record(whole, name))
