"""The prepared folder: order, fingerprint, and what a damaged one says."""

import json

import numpy as np
import pytest
from prepared_sets import CLASSES, change_byte, pixel_splits

from kdbench.data.stored.arrays import Prepared, verify, write
from kdbench.data.stored.fingerprint import fingerprint
from kdbench.errors import BadValue, DamagedData, UnknownName


@pytest.fixture
def folder(tmp_path):
    """A prepared data set."""
    write(tmp_path / "set", "toy", pixel_splits(), CLASSES)
    return tmp_path / "set"


def test_what_was_written_is_opened(folder):
    """Every image keeps its label, and the description fits."""
    images, labels = pixel_splits()["test"]
    data = Prepared.open(folder)

    assert (data.name, data.classes, data.image) == ("toy", ("a", "b", "c"), (3, 4, 5))
    assert data.splits == ("test", "train")
    assert data.stand_in is None
    pairs = sorted((label, image.tobytes()) for label, image in zip(labels, images, strict=True))
    opened = zip(data.labels("test"), data.images("test"), strict=True)
    assert sorted((label, image.tobytes()) for label, image in opened) == pairs
    assert data.labels("test").dtype == np.int64


def test_images_are_sorted_by_class_and_hash(folder):
    """The order is the one that the documentation promises."""
    from hashlib import sha256

    data = Prepared.open(folder)
    keys = [
        (int(label), sha256(image.tobytes()).hexdigest())
        for label, image in zip(data.labels("train"), data.images("train"), strict=True)
    ]
    assert keys == sorted(keys)


def test_the_order_of_the_source_does_not_matter(folder, tmp_path):
    """Shuffled images give the same bytes on disk."""
    order = np.random.default_rng(1).permutation(12)
    shuffled = {s: (images[order], labels[order]) for s, (images, labels) in pixel_splits().items()}

    write(tmp_path / "other", "toy", shuffled, CLASSES)

    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("what", ["pixel", "label", "class", "split", "shape"])
def test_the_fingerprint_sees_every_change(what):
    """One pixel, label, class name, split name or another shape of the same bytes."""
    splits, classes = pixel_splits(), list(CLASSES)
    before = fingerprint(classes, splits)
    images, labels = splits["test"]
    if what == "pixel":
        images[3, 2, 1, 0] ^= 1
    elif what == "label":
        labels[3] = (labels[3] + 1) % 3
    elif what == "class":
        classes[2] = "d"
    elif what == "split":
        splits["exam"] = splits.pop("test")
    else:
        splits["test"] = images.reshape(12, 5, 4, 3), labels

    assert fingerprint(classes, splits) != before


def test_statistics_are_those_of_the_training_split(folder):
    """Exact histograms agree with numpy's own mean and deviation."""
    data = Prepared.open(folder)
    pixels = pixel_splits()["train"][0].reshape(-1, 3) / 255

    np.testing.assert_allclose(data.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(0), rtol=1e-12)


def test_training_only_keeps_every_other_split(tmp_path):
    """A set with its own split for choices offers it to them."""
    splits = pixel_splits()
    write(tmp_path / "set", "toy", {**splits, "valid": splits["test"]}, CLASSES)
    view = Prepared.open(tmp_path / "set").training_only()

    assert sorted(view.splits) == ["train", "valid"]
    assert len(view.labels("valid")) == 12
    with pytest.raises(BadValue, match="'train' or 'valid'"):
        view.images("test")
    with pytest.raises(UnknownName, match="did you mean 'valid'"):
        view.images("vaild")


def test_data_prepared_before_there_were_formats_opens(folder):
    """It says none; another format than arrays is refused."""
    path = folder / "meta.json"
    meta = json.loads(path.read_text())
    assert meta.pop("format") == "arrays"
    path.write_text(json.dumps(meta))
    assert verify(folder) == meta["fingerprint"]

    path.write_text(json.dumps({**meta, "format": "shards"}))
    with pytest.raises(DamagedData, match="format 'shards'"):
        Prepared.open(folder)


def test_parts_of_any_size_are_written_without_a_gap(tmp_path, monkeypatch):
    """Files, fingerprint and statistics are the same as of a whole."""
    write(tmp_path / "whole", "toy", pixel_splits(), CLASSES)
    monkeypatch.setattr("kdbench.data.stored.fingerprint.BLOCK", 5)
    turned = {
        s: (np.asfortranarray(images), labels) for s, (images, labels) in pixel_splits().items()
    }
    write(tmp_path / "parts", "toy", turned, CLASSES)

    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_arrays_cannot_be_changed(folder):
    """They are the data of every run."""
    with pytest.raises(ValueError, match="read-only"):
        Prepared.open(folder).images("train")[0] = 0


def test_verify_sees_a_changed_pixel(folder, layouts):
    """The fingerprint is computed anew."""
    assert verify(folder) == Prepared.open(folder).fingerprint
    path = folder / "test_images.npy"
    change_byte(path, -1)

    with pytest.raises(DamagedData) as caught:
        verify(folder)
    layouts.one_line(caught, folder, "fingerprint", "prepare the data set again")


def test_an_unexpected_fingerprint_writes_nothing(folder, layouts):
    """The published fingerprint is compared before anything is replaced."""
    before = verify(folder)
    with pytest.raises(DamagedData) as caught:
        write(folder, "toy", pixel_splits(seed=1), CLASSES, expected={"fingerprint": "0" * 64})
    layouts.one_line(caught, "toy", "0" * 64)

    assert verify(folder) == before
