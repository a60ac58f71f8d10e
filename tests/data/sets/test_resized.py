"""A data set served at another size than its own."""

import numpy as np
import pytest
import torch
from families import one_line
from torchvision.transforms import v2

from kdbench.data.ingest.prepare import provide
from kdbench.data.loaders.streaming import StreamingLoader
from kdbench.data.sets.resized import prepare
from kdbench.data.stored import arrays
from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.shards import Sharded
from kdbench.errors import DamagedData
from kdbench.plan.components import find_components

DECLARED = {"name": "toy-24", "base": "toy", "image": [3, 24, 24], "module": ""}


@pytest.fixture
def base(tmp_path):
    """A prepared data set of ten 8 x 8 images."""
    rng = np.random.RandomState(0)
    splits = {
        split: (rng.randint(0, 256, (count, 8, 8, 3)).astype(np.uint8), np.arange(count) % 2)
        for split, count in (("train", 6), ("test", 4))
    }
    arrays.write(tmp_path / "toy", "toy", splits, ["a", "b"])
    return tmp_path / "toy"


def test_images_keep_their_pixels_and_are_served_at_the_declared_size(base, tmp_path):
    """Every split has the base's images, labels and constants; evaluation resizes them."""
    fingerprint = prepare(base, tmp_path / "out", DECLARED)
    data, own = Sharded.open(tmp_path / "out"), Prepared.open(base)

    assert (data.name, data.fingerprint, data.image) == ("toy-24", fingerprint, (3, 24, 24))
    assert (data.mean, data.std, data.stand_in) == (own.mean, own.std, None)
    for split in ("train", "test"):
        assert (data.labels(split) == own.labels(split)).all()
    settings = {"image": data.image, "batch": 2, "augment": "none", "seed": 0, "workers": 0}
    loader = StreamingLoader(
        data.encoded("test"), data.labels("test"), mean=[0.0] * 3, std=[1.0] * 3, **settings
    )
    served = torch.cat([batch.images for batch in loader.in_order(4)])
    plain = v2.Compose([v2.Resize(27, antialias=True), v2.CenterCrop(24)])
    whole = plain(torch.from_numpy(np.array(own.images("test"))).permute(0, 3, 1, 2)).float() / 255
    by_sum = [sorted(images.sum((1, 2, 3)).tolist()) for images in (served, whole)]
    assert by_sum[0] == pytest.approx(by_sum[1])


def test_another_data_set_is_refused(base, tmp_path):
    """The line says which one is wanted and how to get it."""
    with pytest.raises(DamagedData, match=r"data set toy.*prepared cifar100.*kdbench data prepare"):
        prepare(base, tmp_path / "out", {**DECLARED, "base": "cifar100"})


@pytest.mark.parametrize("file", ["train_images.npy", "test_labels.npy"])
def test_a_base_that_was_changed_is_refused(base, tmp_path, file):
    """By its own line, and nothing is written."""
    np.save(base / file, np.load(base / file)[::-1].copy())

    with pytest.raises(DamagedData) as caught:
        prepare(base, tmp_path / "out", DECLARED)
    one_line(caught, f"{base}: found fingerprint", "prepare the data set again")
    assert not (tmp_path / "out").exists()


def test_preparing_it_takes_the_base_that_is_prepared_already(base, tmp_path, monkeypatch):
    """Nothing is downloaded; a source, where one is given, is the base's."""
    asked = []
    component = find_components().get("dataset", "cifar100-224", where="test")
    monkeypatch.setattr(
        "kdbench.data.ingest.prepare.prepare",
        lambda declared, source, target, progress: asked.append((declared["name"], source)),
    )
    monkeypatch.setattr("kdbench.data.ingest.prepare.open_data", lambda folder: folder)
    provide(tmp_path, component.described)
    provide(tmp_path, component.described, tmp_path / "archive")

    made = tmp_path / "cifar100"
    assert asked == [
        ("cifar100", None),
        ("cifar100-224", made),
        ("cifar100", tmp_path / "archive"),
        ("cifar100-224", made),
    ]
