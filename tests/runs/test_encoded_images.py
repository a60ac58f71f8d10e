"""A data set of encoded images through the real phases: data, training, stop and resume."""

import json
from dataclasses import replace

import imagenet_layouts as tiny
import numpy as np
import pytest
from tiny_project import TEACHER, TinyProject

from kdbench.data.sets.imagenet import prepare
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.shards import Sharded
from kdbench.errors import TryAgain, UnknownName, UserError
from kdbench.plan.components import find_components
from kdbench.plan.resolve import smoke_section
from kdbench.runs.execute import Options, run
from kdbench.store.parts import StandIn

DATA = tiny.content()
SCALE = {"teacher_epochs": 2, "batch": 4, "steps_per_epoch": 2, "precision": "float32"}


class Project:
    """A project whose ImageNet is a tiny one, and a ResNet of eight layers to train on it."""

    def __init__(self, root, share=1.0, augment="rrc24-flip", scale="lite"):
        changes = {**SCALE, "train_share": share} if scale == "lite" else {}
        self.tiny = TinyProject(root, scale=scale, scales={scale: changes})
        self.paths = self.tiny.paths
        if not (root / "data" / "imagenet").exists():
            source = tiny.write_folders(root / "source", DATA)
            prepare(source, root / "data" / "imagenet", tiny.declaration(DATA))
        found = find_components().get("network", "resnet8", where="test")
        spec = self.tiny.spec(TEACHER)
        network = replace(spec.network, name="resnet8", parameters={**found.arguments})
        recipe = replace(spec.recipe, augment=augment, mean=(), std=())
        declared = find_components().get("dataset", "imagenet", where="test")
        stand_in = StandIn(settings=smoke_section(declared)) if scale == "smoke" else None
        self.data = replace(
            spec.data, dataset="imagenet", cell="imagenet", stand_in=stand_in, train_share=share
        )
        self.teacher = replace(
            spec,
            dataset="imagenet",
            cell="resnet8",
            network=network,
            recipe=recipe,
            data=self.data,
        )

    def run(self, spec, **options):
        """Do a run and what it needs in this process; returns its record."""
        run(spec, self.paths, Options(**{"say": lambda _: None, **options}))
        return json.loads(self.paths.record(spec).read_text())

    def prepared(self):
        """What the data phase made."""
        return open_data(self.paths.artifacts(self.data) / "prepared")


@pytest.fixture(autouse=True)
def workers(monkeypatch):
    """Decode in this process unless a test says otherwise."""
    monkeypatch.setenv("KDBENCH_WORKERS", "0")


def test_the_data_phase_links_shards(tmp_path):
    """One set of bytes has two names; the record says what the data set is."""
    project = Project(tmp_path)

    record = project.run(project.data)

    whole = tmp_path / "data" / "imagenet"
    here = project.paths.artifacts(project.data) / "prepared"
    assert sorted(p.name for p in here.iterdir()) == sorted(p.name for p in whole.iterdir())
    assert all((here / path.name).samefile(path) for path in whole.iterdir())
    data = project.prepared()
    metrics = record["metrics"]
    assert isinstance(data, Sharded)
    assert metrics["images"] == {"test": 8, "train": len(DATA["train"])}
    assert (metrics["classes"], metrics["image"]) == (4, [3, 24, 24])
    assert (metrics["mean"], metrics["std"]) == (list(data.mean), list(data.std))
    assert metrics["fingerprint"] == metrics["source_fingerprint"] == verify_data(whole)


def test_a_share_of_encoded_images_is_balanced_and_fixed(tmp_path):
    """It has the first images of every class in the order of their hashes, and all test images."""
    project = Project(tmp_path, share=0.6)

    record = project.run(project.data)

    share, whole = project.prepared(), open_data(tmp_path / "data" / "imagenet")
    expected = []
    for label in range(4):
        places = np.flatnonzero(whole.labels("train") == label)
        expected += [whole.encoded("train")[p] for p in places[: round(0.6 * len(places))]]
    assert list(share.encoded("train")) == expected
    assert list(share.encoded("test")) == list(whole.encoded("test"))
    here = project.paths.artifacts(project.data) / "prepared"
    assert record["metrics"]["fingerprint"] == verify_data(here) != whole.fingerprint
    assert record["metrics"]["source_fingerprint"] == whole.fingerprint


def test_a_network_is_trained_on_encoded_images(tmp_path):
    """Two epochs of two steps are evaluated on the test images; the record names the data."""
    project = Project(tmp_path)

    record = project.run(project.teacher)

    assert record["cost"]["steps"] == 4
    assert len(record["curves"]["task"]) == len(record["curves"]["test_top1"]) == 2
    assert record["metrics"]["last"]["top1"] in [12.5 * n for n in range(9)]
    assert record["provenance"]["data_fingerprint"] == project.prepared().fingerprint
    assert set(record["artifacts"]) == {"last.safetensors", "best.safetensors"}


def test_a_stopped_training_on_encoded_images_ends_in_the_same_bits(tmp_path, monkeypatch):
    """Stopped after every step, and decoded by a worker: weights and curves are equal."""
    whole, stopped = Project(tmp_path / "whole"), Project(tmp_path / "stopped")
    expected = whole.run(whole.teacher)
    monkeypatch.setenv("KDBENCH_WORKERS", "1")
    calls = 0
    while not stopped.paths.record(stopped.teacher).exists():
        calls += 1
        try:
            found = stopped.run(stopped.teacher, max_minutes=0)
        except TryAgain:
            assert not stopped.paths.record(stopped.teacher).exists()

    assert calls >= 4
    assert found["artifacts"] == expected["artifacts"]
    assert found["curves"] == expected["curves"]
    assert found["metrics"] == expected["metrics"]


def test_an_augmentation_of_pixels_is_refused_for_encoded_images(tmp_path):
    """The message comes before any training and lists those that exist for such images."""
    project = Project(tmp_path, augment="crop4-flip")
    with pytest.raises(UnknownName, match=r"'crop4-flip'.*rrc24-flip") as caught:
        project.run(project.teacher)
    assert "\n" not in str(caught.value)


def test_a_damaged_image_stops_the_training(tmp_path):
    """The data folder is checked before use, so a change after preparing is seen."""
    project = Project(tmp_path)
    project.run(project.data)
    path = project.paths.artifacts(project.data) / "prepared" / "train-0000.arrow"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"train-0000\.arrow"):
        project.run(project.teacher)


def test_absent_data_says_how_to_get_it(tmp_path):
    """Data that cannot be downloaded is one line that says where it comes from."""
    project = Project(tmp_path)
    (tmp_path / "data" / "imagenet").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"register at .*image-net.*--source") as caught:
        project.run(project.data)
    assert "\n" not in str(caught.value)


def test_digits_stand_in_at_scale_smoke(tmp_path):
    """They have a split of their own, and are encoded, as the images that they stand for."""
    project = Project(tmp_path, scale="smoke")

    record = project.run(project.data)

    assert record["metrics"]["stand_in"] == "encoded_digits"
    assert record["metrics"]["image"] == [3, 8, 8]
    assert isinstance(project.prepared(), Sharded)
    assert project.prepared().name == "imagenet"
