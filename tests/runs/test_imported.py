"""Teachers trained elsewhere take a training's place, or are refused whole."""

import json
from dataclasses import replace
from hashlib import sha256
from itertools import chain

import numpy as np
import pytest
import torch
from forked import Done
from safetensors.torch import load_file
from tiny_project import TinyProject
from torch.nn.functional import cross_entropy
from typed_runs import network_part

from kdbench.data.stored import arrays as dataset
from kdbench.data.stored.arrays import Prepared
from kdbench.errors import DamagedData, UnknownName, UserError
from kdbench.evaluate.classification import accuracy, predict
from kdbench.exhibits.protocols import REVIEW
from kdbench.plan.components import find_components
from kdbench.runs import imported
from kdbench.runs.assemble import make_loader, make_network
from kdbench.runs.imported import ExpectedAccuracy, check_precision, import_teacher

NETWORK, KEY = "resnet56", "cifar100/resnet56"
SHORT = {"student_epochs": 1, "steps_per_epoch": 2, "batch": 8, "train_share": 1.0}


@pytest.fixture
def project(tmp_path):
    """A project at scale lite whose CIFAR-100 is 60 small images of three colours."""
    rng = np.random.RandomState(0)
    labels = np.arange(60) % 3
    images = rng.randint(0, 60, (60, 8, 8, 3)).astype(np.uint8)
    images[np.arange(60), :, :, labels] += 150
    splits = {"train": (images[:36], labels[:36]), "test": (images[36:], labels[36:])}
    dataset.write(tmp_path / "data/cifar100", "cifar100", splits, ["blue", "green", "red"])
    return TinyProject(tmp_path, scale="lite", seeds=1, scales={"lite": SHORT})


@pytest.fixture
def checkpoint(project):
    """(file, top-1): a network that has learnt a little, saved by its own code."""
    data = Prepared.open(project.root / "data/cifar100")
    network = make_network(network_part(NETWORK), data, 5, check_precision())
    recipe = replace(REVIEW, batch=12)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    for batch in chain.from_iterable(
        make_loader(data, "train", recipe, 0, check_precision()).epoch(i) for i in range(4)
    ):
        optimiser.zero_grad()
        cross_entropy(network(batch.images), batch.labels).backward()
        optimiser.step()
    loader = make_loader(data, "test", REVIEW, 0, check_precision(), purpose="test")
    top1 = accuracy(*predict(network, loader.in_order(500), check_precision()))
    assert 40 < top1 <= 100
    torch.save({"model": network.state_dict()}, project.root / "teacher.pth")
    return project.root / "teacher.pth", top1


def component():
    """The network's declaration."""
    return find_components().get("network", NETWORK, where="test")


def take(project, file, top1, **more):
    """Import a checkpoint whose accuracy is known."""
    data = Prepared.open(project.root / "data/cifar100")
    claim = ExpectedAccuracy(top1, more.pop("tolerance", 0.1), more.pop("constants", "review"))
    return import_teacher(
        file, component(), data, project.paths, claim, precision=check_precision(), **more
    )


def command(project, *words):
    """`kdbench teacher import` in a process of its own."""
    return Done(project.root, "teacher", "import", *words, KDBENCH_DEVICE="cpu")


def test_an_imported_teacher_takes_the_place_of_training(project, checkpoint):
    """Its record has the file's hash and its accuracy; a student is taught by its weights."""
    file, top1 = checkpoint
    imported_teacher = take(project, file, top1)
    project.edit(teachers={KEY: imported_teacher.sha256})
    project.run("evaluation/resnet56")
    project.run("student/resnet56_resnet20_kd_s0")

    assert imported_teacher.sha256 == sha256(file.read_bytes()).hexdigest()
    record = json.loads(project.record_file(f"teacher/{NETWORK}").read_text())
    assert (
        record["imported"]["sha256"]
        == imported_teacher.sha256
        == record["spec"]["params"]["checkpoint"]
    )
    assert record["metrics"]["last"]["top1"] == top1
    assert record["provenance"]["seed"] is None
    measured = json.loads(project.record_file("evaluation/resnet56").read_text())
    assert measured["metrics"]["runs"][0]["best"]["top1"] == top1
    weights = torch.load(file, weights_only=True)["model"]
    stored = load_file(project.folder(f"teacher/{NETWORK}") / "best.safetensors")
    assert all(torch.equal(stored[key], value) for key, value in weights.items())


def test_each_check_normalises_as_it_says(project, checkpoint, monkeypatch):
    """The import uses the constants given to it, the run those of its protocol."""
    seen = []
    plain = imported.measure
    monkeypatch.setattr(
        imported, "measure", lambda *given: seen.append(given[2].mean) or plain(*given)
    )
    imported_teacher = take(project, checkpoint[0], 50.0, constants="data", tolerance=100)
    project.edit(teachers={KEY: imported_teacher.sha256})
    project.run(f"teacher/{NETWORK}")

    assert seen == [(), REVIEW.mean]


def test_the_file_is_the_teacher_s_identity(project):
    """Another hash is another teacher with other students; stand-ins at smoke have none."""
    names = [f"teacher/{NETWORK}", "student/resnet56_resnet20_kd_s0", "student/resnet20_none_s0"]
    digests = []
    for teachers in ({}, {KEY: "0" * 64}, {KEY: "1" * 64}):
        project.edit(teachers=teachers, scale="lite")
        digests.append([project.spec(name).digest for name in names])
    project.edit(scale="smoke")
    stand_in = project.spec(names[0]).digest
    project.edit(teachers={})

    teacher, taught, untaught = (set(each) for each in zip(*digests, strict=True))
    assert (len(teacher), len(taught), len(untaught)) == (3, 3, 1)
    assert project.spec(names[0]).digest == stand_in


def test_a_checkpoint_below_its_claimed_accuracy_is_not_imported(project, checkpoint):
    """The line says what was measured and what may be wrong."""
    file, top1 = checkpoint
    with pytest.raises(DamagedData, match=rf"top-1 {top1:.2f} %.*{top1 - 5:.2f} % within 0\.1"):
        take(project, file, top1 - 5)

    assert not (project.root / "data/teachers").exists()


def test_a_misspelt_file_is_said_before_any_data_set_is_fetched(project):
    """One line is all that happens."""
    done = command(project, "nothing.pth", "--network", NETWORK, "--dataset", "cinic10")

    assert done.returncode == 2 and not done.stdout
    assert done.stderr.strip().startswith("kdbench: teacher import: nothing.pth: no such file")
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_absent_checkpoint_is_one_line(project):
    """The line gives the command that imports it."""
    project.edit(teachers={KEY: "0" * 64})
    with pytest.raises(
        UserError, match=r"wants the checkpoint 000000000000.*kdbench teacher import"
    ):
        project.run(f"teacher/{NETWORK}")


@pytest.mark.parametrize("harm", ["weights", "description", "another network"])
def test_what_was_imported_is_checked_before_use(project, checkpoint, harm):
    """Changed weights, a broken description and another network's checkpoint are refused."""
    imported_teacher = take(project, *checkpoint)
    file = project.paths.checkpoint(imported_teacher.sha256)
    if harm == "weights":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif harm == "description":
        file.with_suffix(".json").write_text("{")
    key = "cifar100/resnet110" if harm == "another network" else KEY
    if harm == "another network":
        project.edit(pairs=["resnet110:resnet32"])
    project.edit(teachers={key: imported_teacher.sha256})
    with pytest.raises(DamagedData, match="kdbench teacher import"):
        project.run("teacher/" + key.partition("/")[2])


@pytest.mark.parametrize("key", ["cifar100/resnet57", "cifar1000/resnet56", "resnet56"])
def test_a_teacher_of_an_unknown_network_is_refused(project, key):
    """The plan names the nearest network."""
    project.edit(teachers={key: "0" * 64})
    with pytest.raises(UnknownName, match=r"params.yaml, teachers: no \w+ is called"):
        project.spec(f"teacher/{NETWORK}")


def test_a_malformed_hash_is_refused(project):
    """The line names the key of params.yaml."""
    project.edit(teachers={KEY: "abc"})
    with pytest.raises(UserError, match=rf"params.yaml, teachers\.{KEY}: found 'abc'"):
        project.spec(f"teacher/{NETWORK}")


def test_import_prints_what_params_yaml_needs(project, checkpoint):
    """Its last line can be pasted."""
    file, top1 = checkpoint
    done = command(project, file, "--network", NETWORK, "--claim", top1)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"teachers: {{{KEY}: {sha256(file.read_bytes()).hexdigest()}}}"
    )


def test_import_lists_every_difference_and_ends_with_one_line(project, checkpoint):
    """For a network of another depth: the missing keys, then the error, exit code 3."""
    done = command(project, checkpoint[0], "--network", "resnet110", "--claim", "70")
    *differences, last = done.stderr.splitlines()

    assert done.returncode == 3
    assert len(differences) > 100
    assert all(line.startswith("missing: trunk.") for line in differences)
    assert last.startswith("kdbench: ") and "not the weights of resnet110" in last


def test_an_import_without_a_claimed_accuracy_is_refused(project, checkpoint):
    """Nothing is taken on trust."""
    done = command(project, checkpoint[0], "--network", NETWORK)

    assert done.returncode == 2
    assert "give --claim" in done.stderr and done.stderr.count("\n") == 1
