"""Parameters are chosen on training images that are held out."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_project import SCALE, TinyProject
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.data.loaders.in_memory import InMemoryLoader
from kdbench.data.stored import arrays as dataset
from kdbench.data.stored.arrays import Prepared
from kdbench.errors import BadValue, UnknownName
from kdbench.plan.graph import load_graph
from kdbench.report.readings.banner import banner
from kdbench.runs import assemble
from kdbench.runs.held_out import places
from kdbench.store.atomic import write_json
from kdbench.store.paths import Paths
from kdbench.workflow import calls
from kdbench.workflow import tune as tuning
from kdbench.workflow.tune import lines, ranked, tuning_table

OWN = {
    "id": "mine",
    "pairs": ["resnet56:resnet20"],
    "methods": ["kd"],
    "grid": {"weight": [0.5, 0.9], "temperature": [2.0]},
    "held_out": 0.25,
}
CELLS = (
    "resnet56_resnet20_kd-temperature-2.0-weight-0.5-held-out-0.25",
    "resnet56_resnet20_kd-temperature-2.0-held-out-0.25",
)


pytestmark = pytest.mark.usefixtures("process_as_before")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project whose grid is finished, with every position that its students saw."""
    project = TinyProject(
        tmp_path_factory.mktemp("tuning"), exhibits=["own"], pairs=[], seeds=1, tables=[OWN]
    )
    project.seen, serve, ordered = (
        {"fit": set(), "looked": set()},
        InMemoryLoader.batch,
        InMemoryLoader.in_order,
    )

    def spy(loader, epoch, step):
        batch = serve(loader, epoch, step)
        project.seen["fit"] |= {*batch.index.tolist()}
        return batch

    def watch(loader, batch):
        for one in ordered(loader, batch):
            project.seen["looked"] |= {*one.index.tolist()}
            yield one

    read = dataset.map_array

    def poisoned(path, *rest):
        array = read(path, *rest)
        return np.full_like(array, 255) if path.name == "test_images.npy" else array

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        project.run("teacher/resnet56")
        project.run("data/cifar100")
        patch.setattr(InMemoryLoader, "batch", spy)
        patch.setattr(InMemoryLoader, "in_order", watch)
        patch.setattr(dataset, "map_array", poisoned)
        for cell in CELLS:
            project.run(f"evaluation/{cell}")
    return project


def metrics(project, name):
    """Of a run's record."""
    return json.loads(project.record_file(name).read_text())["metrics"]


def test_tuning_measures_on_images_that_were_not_trained_on(done):
    """All are training images; a quarter of them is held out and never trained on."""
    labels = np.load(done.folder("data/cifar100") / "prepared" / "train_labels.npy")
    fit, looked = done.seen["fit"], done.seen["looked"]

    assert len(looked) == round(0.25 * len(labels))
    assert not fit & looked
    assert max(fit | looked) < len(labels)


@pytest.mark.slow
def test_a_search_does_not_see_what_its_students_are_measured_on(tmp_path, monkeypatch):
    """Nor does it see the teacher's best epoch, which test images choose."""
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    own = {**OWN, "methods": ["dfa"], "grid": {}}
    longer = {"smoke": {**SCALE, "teacher_epochs": 1, "steps_per_epoch": 30}}
    project = TinyProject(
        tmp_path, exhibits=["own"], pairs=[], seeds=1, tables=[own], scales=longer
    )
    project.run("teacher/resnet56")
    seen, serve, read, load = set(), InMemoryLoader.batch, set(), assemble.load_weights

    def spy(loader, epoch, step):
        batch = serve(loader, epoch, step)
        seen.update(batch.index.tolist())
        return batch

    def note(network, file):
        read.add((file.parent.parent.parent.name, file.name))
        load(network, file)

    monkeypatch.setattr(InMemoryLoader, "batch", spy)
    monkeypatch.setattr(assemble, "load_weights", note)
    search = "search/resnet56_resnet20_dfa-held-out-0.25"
    project.run(search)
    data = Prepared.open(project.folder("data/cifar100") / "prepared")
    fit, held = places(project.spec(search).tuning_holdout, data)

    assert seen and not seen & {*held.tolist()}
    assert len(seen) > 0.9 * len(fit)
    project.run("evaluation/resnet56_resnet20_dfa-held-out-0.25")
    assert {file for phase, file in read if phase == "teacher"} == {"last.safetensors"}


@pytest.mark.slow
def test_test_images_do_not_change_a_tuning_run(done, tmp_path, monkeypatch):
    """With white test images the numbers are those with the real ones."""
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    again = TinyProject(tmp_path, exhibits=["own"], pairs=[], seeds=1, tables=[OWN])
    again.run(f"evaluation/{CELLS[0]}")

    first, second = (metrics(p, f"evaluation/{CELLS[0]}")["runs"] for p in (done, again))
    assert first == second


def test_records_of_a_tuning_run_say_on_what_it_was_measured(done):
    """The evaluation's and its students' notes say so."""
    for name in (f"evaluation/{CELLS[0]}", f"student/{CELLS[0]}_s0"):
        notes = json.loads(done.record_file(name).read_text())["notes"]
        assert notes == ["measured on 0.25 of the training images, held out, and on no test image"]


def test_tune_ranks_the_rows(done, monkeypatch):
    """The best comes first, with what params.yaml would say; nothing runs a second time."""
    monkeypatch.chdir(done.root)
    result = CliRunner().invoke(app, ["tune", "own/mine"])
    head, first, second, best, seeds, *notice = result.output.splitlines()
    accuracy = {c: metrics(done, f"evaluation/{c}")["runs"][0]["last"]["top1"] for c in CELLS}

    assert result.exit_code == 0
    assert head.startswith("resnet56:resnet20, accuracy on held-out training images")
    printed = [float(line.split()[0]) for line in (first, second)]
    assert printed == [round(v, 2) for v in sorted(accuracy.values(), reverse=True)]
    weight = 0.5 if accuracy[CELLS[0]] > accuracy[CELLS[1]] else 0.9
    override = json.loads(best.removeprefix("  best: "))
    assert seeds.startswith("  n = 1 seed: nothing says whether this is noise")
    assert " ".join(notice) == banner(load_graph(done.root)) != ""
    ties = accuracy[CELLS[0]] == accuracy[CELLS[1]]
    assert ties or override == {"methods": {"kd": {"weight": weight, "temperature": 2.0}}}


def test_a_combination_without_a_record_comes_last(done):
    """It is listed, and cannot be the best."""
    wider = {**OWN, "grid": {"weight": [0.1, 0.5, 0.9], "temperature": [2.0]}}
    graph = load_graph(done.root, {"tables": [wider]})
    choices = ranked(graph, done.paths, tuning_table(graph, "own/mine"))

    assert [bool(choice.values) for choice in choices] == [True, True, False]
    *_, unfinished, best, _ = lines(choices)
    assert unfinished.endswith("weight = 0.1, temperature = 2.0  (not finished; its log says why)")
    assert best.startswith("  best: ") and "0.1" not in best


def test_a_combination_that_diverged_says_so(done):
    """Divergence is an answer: no other will come."""
    wider = {**OWN, "grid": {"weight": [0.1, 0.5], "temperature": [2.0]}}
    graph = load_graph(done.root, {"tables": [wider]})
    (cell,) = [c for c in graph.cells["own/mine"] if "0.1" in c.row.label]
    file = done.paths.diverged(cell.evaluation.runs[0])
    write_json(file, {"schema": 1, "title": "one", "said": "epoch 0"})

    ranking = lines(ranked(graph, done.paths, tuning_table(graph, "own/mine")))

    file.unlink()
    assert ranking[-3].endswith("weight = 0.1, temperature = 2.0  (diverged)")


def test_tune_asks_for_each_job_once(tmp_path, monkeypatch):
    """At scale smoke one job makes several rows and their students."""
    graph = load_graph(Path(), {"scale": "smoke", "tables": [OWN], "exhibits": ["own"]})
    (tmp_path / "Snakefile").touch()
    called = []
    monkeypatch.setattr(calls, "_to_its_end", lambda words, root: called.append(words) or 0)

    tuning.make(graph, Paths(tmp_path), tuning_table(graph, "own/mine"), 1, {})

    (record,) = [Path(word) for word in called[0] if word.endswith(".json")]
    assert record.parts[-3] == "evaluation"


def test_tune_refuses_tables_of_test_accuracies(done):
    """It refuses tables that do not exist as well."""
    graph = load_graph(done.root, {"exhibits": ["distpro/table1", "own"]})

    with pytest.raises(BadValue, match=r"distpro/table1: found 'a table of test accuracies'"):
        tuning_table(graph, "distpro/table1")
    with pytest.raises(UnknownName, match="did you mean 'own/mine'"):
        tuning_table(graph, "own/mime")


def test_a_grid_may_vary_parameters_of_a_search(done):
    """They are called `search.name`; every combination is one row."""
    own = {**OWN, "methods": ["distpro"], "grid": {"search.alpha_lr": [0.1, 0.2], "tau": [0.4]}}
    graph = load_graph(done.root, {"tables": [own]})
    cells = graph.cells["own/mine"]
    (first, second) = (cell.evaluation.runs[0] for cell in cells)

    assert first.method.parameters["tau"] == 0.4
    rates = [s.schemes[0].search.parameters["alpha_lr"] for s in (first, second)]
    assert rates == [0.1, 0.2]
    assert cells[0].row.label == "DistPro, search.alpha_lr = 0.1, tau = 0.4"
