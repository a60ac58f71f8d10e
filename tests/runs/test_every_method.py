"""Every declared method in real trainings: stopped anywhere, it ends in the same bits."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from sampling import sampled
from tiny_project import TinyProject

from kdbench.engine.position import TrainingPosition
from kdbench.errors import TryAgain
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import Row
from kdbench.papers import catalogue
from kdbench.plan.build import Builder
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs import assemble, training
from kdbench.runs.execute import Options, run
from kdbench.runs.steps import TwoParts

COMPONENTS = find_components()
# The pathways need a search beside the teacher: tests/resume covers them.
METHODS = [
    name
    for name in COMPONENTS.names("method")
    if COMPONENTS.get("method", name, where="test").search is None
    and "classification" in COMPONENTS.get("method", name, where="test").declaration.tasks
]
TWO_STAGES = ("ab", "ft")
# What `make test` stops: every kind of state (none, connectors, memories, counts, an optimiser and
# a first stage of a method's own), and maps whose gradients come from several places, which round
# otherwise where operations are counted; that each loss goes on from its state, the contract tests.
STOPPED = ("kd", "crd", "l2t_ww", "ft", "reviewkd")
SMALL = Pair("resnet14", "resnet8")


@pytest.fixture(scope="module")
def taught_once(tmp_path_factory):
    """A project with the teacher of the pair; never changed."""
    project = TinyProject(tmp_path_factory.mktemp("taught"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        run(student(project, "kd").teacher, project.paths, Options(say=lambda _: None))
    return project


@pytest.fixture
def taught(taught_once, tmp_path):
    """A copy of it for one test to change."""
    shutil.copytree(taught_once.root, tmp_path / "project")
    return TinyProject(tmp_path / "project")


def student(project, method):
    """The student run of a method on the small pair."""
    table = next(e for e in catalogue() if e.id == "distpro/table1")
    table = replace(table, rows=(Row(method, method),), pairs=(SMALL,))
    params = load_graph(project.root).params.model_copy(update={"seeds": 1})
    evaluation = Builder(params, COMPONENTS).build(
        table.request(table.rows[0], table.all_columns[0])
    )
    return evaluation.runs[0]


def trained(project, spec, **options):
    """Run it; returns its weights and its record."""
    run(spec, project.paths, Options(say=lambda _: None, **options))
    record = json.loads(project.paths.record(spec).read_text())
    weights = (project.paths.artifacts(spec) / "last.safetensors").read_bytes()
    return weights, record


@pytest.mark.parametrize("method", sampled(METHODS, STOPPED))
def test_a_stopped_training_of_any_method_ends_in_the_same_bits(taught, method):
    """Stopped after every step, with the method's own state, first stages included."""
    spec = student(taught, method)
    whole, record = trained(taught, spec)
    taught.paths.record(spec).unlink()
    shutil.rmtree(taught.paths.artifacts(spec))
    calls = 0
    while not taught.paths.record(spec).exists():
        calls += 1
        try:
            trained(taught, spec, max_minutes=0)
        except TryAgain:
            continue
    again = (taught.paths.artifacts(spec) / "last.safetensors").read_bytes()

    assert calls >= 6
    assert again == whole
    assert json.loads(taught.paths.record(spec).read_text())["curves"] == record["curves"]


@pytest.mark.parametrize("method", METHODS)
def test_the_student_s_norms_count_each_batch_once(taught, method, monkeypatch):
    """The student sees each batch once, and the teacher's weights and statistics never move."""
    counts, finish = {}, training._finish

    def spy(job, progress, network, *rest):
        norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        counts.update(batches={int(n.num_batches_tracked) for n in norms}, steps=progress.epoch * 3)
        return finish(job, progress, network, *rest)

    teachers, build = [], assemble.Teacher
    monkeypatch.setattr(training, "_finish", spy)
    monkeypatch.setattr(
        assemble, "Teacher", lambda *given: teachers.append(build(*given)) or teachers[0]
    )
    spec = student(taught, method)
    trained(taught, spec)

    looked = 0 if method == "ft" else counts["steps"] - 6  # FT's first stage has no student
    assert counts["batches"] == {6 + looked}
    best = load_file(taught.paths.artifacts(student(taught, "kd").teacher) / "best.safetensors")
    assert len(teachers) == ("teacher" in spec.upstream)
    for teacher in teachers:
        assert all(torch.equal(v, best[k]) for k, v in teacher.network.state_dict().items())


@pytest.mark.parametrize("method", TWO_STAGES)
def test_a_first_stage_has_its_own_time_and_curves(taught, method):
    """One epoch comes before the main stage's two; `last` and `best` count the main stage alone."""
    _, record = trained(taught, student(taught, method))
    curves = record["curves"]

    assert curves["first_epoch"] == [1.0]
    assert curves["epoch"] == [1.0, 2.0]
    assert record["metrics"]["last"]["epoch"] == 2
    assert record["cost"]["steps"] == 9
    assert len(curves["test_top1"]) == len(curves["task"]) == 2


def test_stages_count_their_own_steps():
    """Each step of each stage sees the position that it would see alone."""
    seen = []

    class Stub:
        steps = 3

        def __init__(self, name):
            self.name = name

        def __call__(self, batch, position):
            seen.append((self.name, position.step, position.steps, position.epoch, position.epochs))
            return {}

    stages = TwoParts(Stub("first"), Stub("main"), epochs=2)
    for step in range(12):
        stages(None, TrainingPosition(step, 12, step // 3, 4))

    assert seen == [(name, s, 6, s // 3, 2) for name in ("first", "main") for s in range(6)]
