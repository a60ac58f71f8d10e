"""Teachers trained elsewhere take a training's place."""

import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from imports import KEY, NETWORK, command, copied_checkpoint, small_project, take
from safetensors.torch import load_file
from typed_runs import network_part

from kdbench.data.stored.arrays import Prepared
from kdbench.errors import DamagedData, UserError
from kdbench.evaluate.classification import accuracy
from kdbench.exhibits.protocols import REVIEW
from kdbench.models.view import View
from kdbench.plan.graph import load_graph
from kdbench.runs import assemble
from kdbench.runs.assemble import Teacher, make_network
from kdbench.runs.check import check
from kdbench.runs.export import About, export_network
from kdbench.runs.importing import (
    Reading,
    check_precision,
)


@pytest.fixture
def project(tmp_path):
    """See `small_project`."""
    return small_project(tmp_path)


@pytest.fixture
def checkpoint(project, trained_once):
    """See `trained_checkpoint`."""
    return copied_checkpoint(trained_once, project)


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
    """In its own record, a student's training, and its evaluation; the student does not.

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


def test_the_check_builds_a_teacher_for_the_images_that_it_sees(project, checkpoint, monkeypatch):
    """Losses then meet the maps that they will have; the student is built for whole images."""
    view = View(crop=4)
    taken = take(project, checkpoint[0], 50.0, tolerance=100, view=view)
    project.edit(teachers={KEY: taken.sha256}, methods_only=["fitnet"], exhibits=["own"], tables=[
        {"id": "t", "pairs": ["resnet56:resnet20"], "methods": ["teacher", "fitnet"]}
    ])  # fmt: skip
    sides, plain = {}, assemble.make_network

    def spy(network, data, *others):
        sides.setdefault(network.name, set()).add(data.image)
        return plain(network, data, *others)

    monkeypatch.setattr(assemble, "make_network", spy)
    problems = check(load_graph(project.root), lambda _: None, paths=project.paths)

    assert problems == []
    assert sides == {"resnet56": {(3, 4, 4)}, "resnet20": {(3, 32, 32)}}


def test_the_check_names_a_crop_that_the_images_do_not_have(project, checkpoint):
    """Of a data set that is declared smaller than the one on which it was imported."""
    taken = take(project, checkpoint[0], 50.0, tolerance=100, view=View(resize=64, crop=40))
    file = project.paths.checkpoint(taken.sha256).with_suffix(".json")
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "view": {"crop": 40}}))
    project.edit(teachers={KEY: taken.sha256}, methods_only=["none"])
    (line,) = check(load_graph(project.root), lambda _: None, paths=project.paths)

    assert line == (
        "cifar100, resnet56: --crop: found 40, expected at most 32, the side of the scaled image"
    )


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
