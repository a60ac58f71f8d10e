"""Steps and multiply-adds that are foretold, against those that finished runs have recorded."""

from dataclasses import replace

import pytest
import torch
from sampling import sampled
from test_every_method import student
from tiny_project import EVALUATION, OTHER_STUDENT, SCALE, SEARCH, STUDENT, TEACHER, TinyProject

from kdbench.errors import UserError
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs.estimate import measure as measuring
from kdbench.runs.estimate.lengths import data_size, length_of
from kdbench.runs.estimate.measure import Budget, measure
from kdbench.runs.execute import Options, run
from kdbench.store.record import read_record

COMPONENTS = find_components()
CPU = torch.device("cpu")
DECLARED = Budget(tflops=1.0)  # counts, and times nothing


def sizes_of(paths):
    """Sizes of data, as a project's records or the declarations say them."""
    return lambda data: data_size(data, COMPONENTS, paths)


def measured(paths, *runs, budget=DECLARED):
    """What these runs are foretold to cost."""
    return measure(runs, sizes_of(paths), paths, CPU, budget, lambda _: None)


def recorded(paths, spec):
    """Steps and multiply-adds of a finished run."""
    cost = read_record(paths.record(spec))["cost"]
    return cost["steps"], cost["macs"]


def test_steps_and_multiply_adds_are_those_of_the_records(finished_once, tmp_path):
    """Teacher, search and students of a project where nothing was prepared or run."""
    fresh = TinyProject(tmp_path / "fresh")
    runs = [fresh.spec(name) for name in (TEACHER, SEARCH, STUDENT, OTHER_STUDENT)]
    foretold = measured(fresh.paths, *runs)

    for spec in runs:
        work = foretold.work[spec.digest]
        assert (work.steps, work.macs) == recorded(finished_once.paths, spec), spec.title
    assert not (fresh.root / "results").exists()


@pytest.mark.parametrize("method", sampled(["ft", "rkd", "crd"], ["ft"]))
def test_first_parts_and_losses_of_pairs_are_counted_as_they_will_be(finished, method):
    """A first part has epochs of its own, angles of triples grow with the batch's third power."""
    spec = student(finished, method)
    work = measured(finished.paths, spec).work[spec.digest]
    run(spec, finished.paths, Options(say=lambda _: None))

    assert (work.steps, work.macs) == recorded(finished.paths, spec)


@pytest.mark.parametrize("batch", sampled([256, 100], []))
def test_whole_epochs_have_the_steps_that_the_loaders_give(tmp_path, batch):
    """From declared sizes, before the data are prepared, and from the record afterwards."""
    scale = {**SCALE, "steps_per_epoch": 1000, "batch": batch, "teacher_epochs": 1}
    project = TinyProject(tmp_path, scales={"smoke": scale})
    spec = project.spec(TEACHER)
    before = length_of(spec, data_size(spec.data, COMPONENTS, project.paths)).steps
    project.run(TEACHER)
    after = length_of(spec, data_size(spec.data, COMPONENTS, project.paths)).steps

    assert before == after == recorded(project.paths, spec)[0] > SCALE["steps_per_epoch"]


def test_weights_on_disk_have_the_foretold_size(finished_once, tmp_path):
    """But for the header of their two files, of at most a few percent."""
    fresh = TinyProject(tmp_path / "fresh")
    spec = fresh.spec(STUDENT)
    work = measured(fresh.paths, spec).work[spec.digest]
    files = finished_once.folder(STUDENT).glob("*.safetensors")
    written = sum(file.stat().st_size for file in files)

    assert work.artifact_bytes < written < 1.1 * work.artifact_bytes
    assert work.checkpoint_bytes > work.artifact_bytes  # weights, momentum, the best so far


@pytest.mark.slow
def test_a_short_timing_times_one_kind_and_scales_the_others(tmp_path):
    """All of them get seconds, and say how."""
    fresh = TinyProject(tmp_path / "fresh")
    runs = list(load_graph(fresh.root).run(EVALUATION).with_upstream())
    result = measured(fresh.paths, *runs, budget=Budget(seconds=0, minutes=0))

    assert sum(unit.timed for unit in result.units) == 1
    assert all(unit.seconds > 0 for unit in result.units)
    for spec in runs:
        seconds, timed = result.seconds_of(spec)
        assert seconds >= timed >= 0


def test_progress_is_said_from_the_start(tmp_path, monkeypatch):
    """Kinds and passes while they are counted, then which of how many is timed."""
    monkeypatch.setattr(measuring, "SAY_EVERY", 0.0)
    fresh = TinyProject(tmp_path)
    runs = [fresh.spec(name) for name in (TEACHER, EVALUATION)]
    said = []
    budget = Budget(seconds=0.01, minutes=1.0)
    measure(runs, sizes_of(fresh.paths), fresh.paths, CPU, budget, said.append)

    assert said[:2] == [
        "counting the multiply-adds of 1 kinds of work",
        "counted 0 of 1 kinds of work",
    ]
    assert any(line.startswith("counted 0 of ") and "networks" in line for line in said)
    assert any(line.startswith("timing 1 of ") for line in said)


def test_a_step_that_cannot_be_taken_is_one_line(tmp_path, monkeypatch):
    """It names the kind of work, and what to try."""
    fresh = TinyProject(tmp_path / "fresh")
    spec = fresh.spec(STUDENT)

    def broken(*_):
        raise RuntimeError("shapes\ndo not fit")

    monkeypatch.setattr(measuring, "build_trial", broken)
    with pytest.raises(UserError, match="student cifar100 resnet56:resnet20 distpro: ") as caught:
        measured(fresh.paths, spec)

    assert "shapes do not fit; `kdbench check` tries" in str(caught.value)


def test_seeds_are_one_kind_of_work_and_lengths_are_several(tmp_path):
    """Both seeds' students share what was measured; one of twice the epochs does not."""
    fresh = TinyProject(tmp_path / "fresh")
    spec, other = fresh.spec(STUDENT), fresh.spec(OTHER_STUDENT)
    longer = replace(spec, recipe=replace(spec.recipe, epochs=2 * spec.recipe.epochs))
    result = measured(fresh.paths, spec, other, longer)

    assert result.work[spec.digest] is result.work[other.digest]
    assert result.work[longer.digest].steps == 2 * result.work[spec.digest].steps
