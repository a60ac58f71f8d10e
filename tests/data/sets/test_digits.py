"""Digits in the place of a data set."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kdbench.data.sets.digits import prepare_stand_in
from kdbench.data.stored.arrays import Prepared
from kdbench.errors import BadValue

CHOICES = {"name": "cifar100", "split_seed": 3, "test_share": 0.25, "relabel": 5}


@pytest.fixture
def prepared(tmp_path):
    """A function that prepares a stand-in with some choices changed."""

    def prepare(**changes):
        folder = tmp_path / str(changes)
        prepare_stand_in(folder, **{**CHOICES, **changes})
        return Prepared.open(folder)

    return prepare


def digits_of(data, split):
    """What each image of a split shows, by the names of the classes."""
    return [int(data.classes[label].removeprefix("digit ")) for label in data.labels(split)]


def test_every_digit_is_there_once_under_its_name(prepared):
    """Scaled to 0..255, grey in three channels, and relabelled without a mistake."""
    data, bundle = prepared(), load_digits()
    expected = [
        (digit, bytes(round(value * 255 / 16) for value in image.ravel()))
        for digit, image in zip(bundle.target, bundle.images, strict=True)
    ]

    shown = []
    for split in data.splits:
        images = data.images(split)
        assert images.shape[1:] == (8, 8, 3)
        np.testing.assert_array_equal(images[..., 0], images[..., 1])
        np.testing.assert_array_equal(images[..., 0], images[..., 2])
        greys = [image[..., 0].tobytes() for image in images]
        shown += zip(digits_of(data, split), greys, strict=True)

    assert sorted(shown) == sorted(expected)


def test_the_share_of_test_images_is_the_same_in_every_class(prepared):
    """Stratified, to whole images."""
    data = prepared()
    counts = np.bincount(load_digits().target)
    test = np.bincount(digits_of(data, "test"))

    assert test.tolist() == [round(0.25 * count) for count in counts]


def test_the_seeds_choose_split_and_labels(prepared):
    """Other seeds give another stand-in; labels and split are drawn apart."""
    data, other_split, other_labels = prepared(), prepared(split_seed=4), prepared(relabel=6)

    assert len({d.fingerprint for d in (data, other_split, other_labels)}) == 3
    assert data.classes == other_split.classes != other_labels.classes
    assert sorted(data.classes) == sorted(other_labels.classes)
    shown = [sorted(image.tobytes() for image in d.images("test")) for d in (data, other_labels)]
    assert shown[0] == shown[1]
    assert data.classes != tuple(sorted(data.classes))


def test_a_split_for_choices_is_taken_from_the_training_images(prepared):
    """Its share of every class; the test images stay the same."""
    plain, data = prepared(), prepared(valid_share=0.1)
    counts = np.bincount(load_digits().target)

    assert sorted(data.splits) == ["test", "train", "valid"]
    np.testing.assert_array_equal(data.images("test"), plain.images("test"))
    shown = np.bincount(digits_of(data, "valid"))
    assert shown.tolist() == [round(0.1 * count) for count in counts]
    sizes = {split: len(data.labels(split)) for split in data.splits}
    assert sum(sizes.values()) == len(load_digits().target)
    parts = [{image.tobytes() for image in data.images(s)} for s in ("train", "valid")]
    assert {image.tobytes() for image in plain.images("train")} == parts[0] | parts[1]


@pytest.mark.parametrize("share", [-0.1, 0.75, 1])
def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path, share):
    """A quarter of the images are test images here."""
    with pytest.raises(BadValue, match="valid_share"):
        prepare_stand_in(tmp_path / "out", **CHOICES, valid_share=share)
    assert not (tmp_path / "out").exists()


def test_the_stand_in_never_changes(prepared):
    """Results of the smoke scale hang on these very images: this number is for ever."""
    data = prepared()

    assert (data.name, data.stand_in) == ("cifar100", "digits")
    assert data.fingerprint == "446d96adda066c3616264b46daf925fa4f980fb155dd481040ac9722a9e0919f"


@pytest.mark.parametrize("share", [0, 1, -0.1, 25])
def test_a_test_share_of_nothing_or_everything_is_refused(tmp_path, share):
    """There must be images to train on and images to test with."""
    with pytest.raises(BadValue, match="test_share"):
        prepare_stand_in(tmp_path / "out", **{**CHOICES, "test_share": share})
    assert not (tmp_path / "out").exists()
