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
from kdbench.models.view import View
from kdbench.plan.components import find_components
from kdbench.runs.assemble import Teacher, make_loader, make_network
from kdbench.runs.export import About, export_network
from kdbench.runs.importing import (
    ExpectedAccuracy,
    Reading,
    Source,
    check_precision,
    import_teacher,
)

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


def take(project, file, top1, *, tolerance=0.1, network=NETWORK, **reading):
    """Import a checkpoint whose accuracy is known."""
    components = find_components()
    return import_teacher(
        Source.find(file),
        components.get("network", network, where="test"),
        Prepared.open(project.root / "data/cifar100"),
        project.paths,
        ExpectedAccuracy(top1, tolerance),
        components=components,
        precision=check_precision(),
        reading=Reading(**reading),
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


OWN = View(mean=(0.6, 0.5, 0.4), std=(0.3, 0.2, 0.1), resize=12, crop=8)


def seen_by_hand(images):
    """Pixels (B, H, W, 3) as `OWN` says, step by step."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
    large = torch.nn.functional.interpolate(
        pixels, (12, 12), mode="bilinear", antialias=True, align_corners=False
    )
    middle = large[..., 2:10, 2:10]
    return (middle - torch.tensor(OWN.mean)[:, None, None]) / torch.tensor(OWN.std)[:, None, None]


def test_a_teacher_looks_at_images_as_it_wants_them(project, checkpoint, monkeypatch):
    """In the check, its own record, a student's training, and its evaluation; the student does not.

    The logits that the student is taught by are those of a pass by hand over such images.
    """
    imported_teacher = take(project, checkpoint[0], 50.0, tolerance=100, view=OWN)
    project.edit(teachers={KEY: imported_teacher.sha256})
    project.run("evaluation/resnet56")
    data = Prepared.open(project.root / "data/cifar100")
    network = make_network(network_part(NETWORK), data, 5, check_precision())
    network.load_state_dict(torch.load(checkpoint[0], weights_only=True)["model"])
    with torch.no_grad():
        by_hand = network.eval()(seen_by_hand(data.images("test")))
    top1 = accuracy(by_hand, torch.from_numpy(np.array(data.labels("test"))))
    record = json.loads(project.record_file(f"teacher/{NETWORK}").read_text())
    measured = json.loads(project.record_file("evaluation/resnet56").read_text())
    looks = []

    def spy(teacher, images, **options):
        features = plain(teacher, images, **options)
        looks.append((images, features.logits))
        return features

    plain = Teacher.read
    monkeypatch.setattr(Teacher, "read", spy)
    project.run("student/resnet56_resnet20_kd_s0")
    images, logits = looks[0]
    mean, std = torch.tensor(REVIEW.mean), torch.tensor(REVIEW.std)
    pixels = 255 * (images * std[:, None, None] + mean[:, None, None])
    with torch.no_grad():
        taught = network(seen_by_hand(pixels.permute(0, 2, 3, 1).round().byte().numpy()))

    assert imported_teacher.top1 == pytest.approx(top1)
    assert record["metrics"]["last"]["top1"] == pytest.approx(top1)
    assert measured["metrics"]["runs"][0]["best"]["top1"] == pytest.approx(top1)
    assert "as it looks at images here" in record["notes"][0]
    with torch.no_grad():
        otherwise = (network(images) - taught).abs().mean()
    assert (logits.float() - taught).abs().mean() < 0.05 * otherwise, "but for bfloat16"


def test_a_teacher_that_looks_in_another_way_is_another_teacher(project, checkpoint):
    """Its identity is the file's where the file says all, else of file and view, order and part."""
    checksum = sha256(checkpoint[0].read_bytes()).hexdigest()
    readings = [
        {},
        {"view": View(mean=(0.5,) * 3, std=(0.5,) * 3)},
        {"view": View(resize=12)},
        {"order": ["green", "red", "blue"]},
        {"part": "model"},
    ]
    identities = [Reading(**reading).identity(checksum) for reading in readings]
    taken = take(project, checkpoint[0], 50.0, tolerance=100, **readings[1])

    assert identities[0] == checksum and len(set(identities)) == len(readings)
    assert (taken.sha256, taken.source) == (identities[1], checksum)
    assert project.paths.checkpoint(identities[1]).is_file()


def test_a_view_that_fits_is_named_where_a_claim_is_missed(project, checkpoint):
    """A known set of constants, by name."""
    own = Prepared.open(project.root / "data/cifar100")
    view = View(mean=own.mean, std=own.std)
    top1 = take(project, checkpoint[0], 50.0, tolerance=100, view=view).top1
    assert abs(top1 - checkpoint[1]) > 0.1
    with pytest.raises(DamagedData, match=rf"data it is {top1:.2f} %: --constants data"):
        take(project, checkpoint[0], top1)


def rotated(checkpoint, folder):
    """The checkpoint of a network that calls blue, green, red in the order red, blue, green."""
    weights = torch.load(checkpoint, weights_only=True)["model"]
    for key in ("classifier.weight", "classifier.bias"):
        weights[key] = weights[key][[2, 0, 1]]
    torch.save({"model": weights}, folder / "rotated.pth")
    return folder / "rotated.pth"


def test_classes_in_another_order_are_put_right(project, checkpoint):
    """The teacher then has the logits of one whose classes are in our order."""
    file, top1 = checkpoint
    order = ["red", "blue", "green"]
    with pytest.raises(DamagedData, match=r"in another order it would be .* give --class-order"):
        take(project, rotated(file, project.root), top1)
    taken = take(project, rotated(file, project.root), top1, order=order)

    ours = torch.load(file, weights_only=True)["model"]
    stored = load_file(project.paths.checkpoint(taken.sha256))
    assert torch.equal(stored["classifier.weight"], ours["classifier.weight"])
    assert taken.order == order


def test_a_published_order_is_named(project, checkpoint):
    """Where the prepared data know of it and it gives what is claimed."""
    meta = project.root / "data/cifar100/meta.json"
    content = json.loads(meta.read_text()) | {"orders": {"wnids.txt": ["red", "blue", "green"]}}
    meta.write_text(json.dumps(content))
    with pytest.raises(DamagedData, match=r"in the order of wnids.txt.*--class-order wnids.txt"):
        take(project, rotated(checkpoint[0], project.root), checkpoint[1])


def test_the_best_of_another_epoch_is_explained(project, checkpoint):
    """One of the file's claims is enough; a small difference from its best is no damage."""
    file, top1 = checkpoint
    content = torch.load(file, weights_only=True)
    torch.save({**content, "best_acc": top1 - 1}, project.root / "best.pth")
    torch.save({**content, "best_acc": top1 - 1, "acc": top1}, project.root / "both.pth")

    with pytest.raises(DamagedData, match=r"best_acc.*another epoch than its weights"):
        take(project, project.root / "best.pth", None)
    assert take(project, project.root / "both.pth", None).claim == pytest.approx(top1)


def test_padded_shortcuts_are_told_from_convolutions(project):
    """The line names the network that the file holds."""
    data = Prepared.open(project.root / "data/cifar100")
    for name, other in (("resnet20", "resnet20-a"), ("resnet20-a", "resnet20")):
        network = make_network(network_part(name), data, 5, check_precision())
        torch.save(network.state_dict(), project.root / "one.pth")
        with pytest.raises(UserError, match=f"not the weights of {other}, but of {name}, whose"):
            take(project, project.root / "one.pth", 50.0, network=other)


def test_an_export_is_taken_with_what_it_says(project, checkpoint):
    """Network, accuracy, constants and class order are its own; a contradiction is refused."""
    top1 = checkpoint[1]
    data = Prepared.open(project.root / "data/cifar100")
    network = make_network(network_part(NETWORK), data, 5, check_precision())
    network.load_state_dict(load_file(project.paths.checkpoint(take(project, *checkpoint).sha256)))
    about = About(
        network=NETWORK, arguments={"depth": 56}, classes=list(data.classes),
        image=list(data.image), mean=list(REVIEW.mean), std=list(REVIEW.std), top1=top1,
    )  # fmt: skip
    export_network(network, about, project.root / "export")

    other = command(project, "export", "--network", "resnet20")
    done = command(project, "export")
    assert done.returncode == 0, done.stderr
    assert f"{top1:.2f} % on 24 test images, claimed {top1:.2f} %" in done.stdout
    assert f"teachers: {{{KEY}: " in done.stdout.splitlines()[-1]
    assert other.returncode == 2 and "--network: found 'resnet20'" in other.stderr


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


def test_weights_of_another_network_are_one_line(project, checkpoint):
    """For one of another depth: counts, five keys, exit code 3."""
    done = command(project, checkpoint[0], "--network", "resnet110", "--claim", "70")

    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "not the weights of resnet110" in done.stderr and "missing (trunk." in done.stderr


def test_a_share_is_taken_as_one(project, checkpoint):
    """And said to be."""
    file, top1 = checkpoint
    done = command(project, file, "--network", NETWORK, "--claim", top1 / 100)

    assert done.returncode == 0, done.stderr
    assert f"is taken as a share: {top1:.2f} %" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mean", "0.5,0.5,0.5"], "found --mean, expected --constants, or --mean and --std"),
        (["--mean", "0.5,x", "--std", "1,1"], "--mean: found '0.5,x', expected numbers in 0..1"),
        (["--mean", "0.5", "--std", "0.5"], "one per channel"),
        (["--interpolation", "bilinaer"], "did you mean 'bilinear'"),
        (["--crop", "9"], "--crop: found 9, expected at most 8"),
        (["--class-order", "absent.txt"], "absent.txt: found FileNotFoundError"),
        (["--part", "modle"], "no part is called 'modle'; did you mean 'model'"),
    ],
)
def test_a_wrong_option_is_one_line(project, checkpoint, options, words):
    """Nothing is kept."""
    done = command(project, checkpoint[0], "--network", NETWORK, "--claim", "70", *options)

    assert done.returncode == 2 or "absent" in words
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (project.root / "data/teachers").exists()


def test_a_file_is_looked_at_before_its_data_set_is_downloaded(project, checkpoint):
    """Its keys are wrong for the network, and nothing was fetched."""
    words = ("--network", "resnet110", "--dataset", "cifar10", "--claim", "70")
    done = command(project, checkpoint[0], *words)

    assert "not the weights of resnet110" in done.stderr and done.stderr.count("\n") == 1
    assert not (project.root / "data/cifar10").exists()


def test_an_import_without_a_claimed_accuracy_is_refused(project, checkpoint):
    """Nothing is taken on trust."""
    done = command(project, checkpoint[0], "--network", NETWORK)

    assert done.returncode == 2
    assert "give --claim" in done.stderr and done.stderr.count("\n") == 1
