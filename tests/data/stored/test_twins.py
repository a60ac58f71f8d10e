"""Twins are found in both forms of prepared data, whatever their labels."""

import json
from hashlib import sha256

import numpy as np
import pytest
from prepared_sets import ABOUT, CLASSES, encoded_rows, pixel_splits

from kdbench.data.stored import arrays, shards
from kdbench.data.stored.open import open_data
from kdbench.data.stored.twins import (
    count_twins,
    groups,
    in_words,
    known_twins,
    note_twins,
    other_copies,
    without_twins,
)

COUNTS = {"train": 2, "test": 3}


def pixels(folder):
    """Of 12 training images one stands there three times; 3 of 12 test images are among them."""
    splits = pixel_splits()
    (images, labels), (tests, _) = splits["train"], splits["test"]
    images[[4, 9]] = images[0]
    labels[[0, 4, 9]] = 0, 1, 2
    tests[[0, 1, 2]] = images[[0, 5, 5]]
    arrays.write(folder, "toy", splits, CLASSES)


def encoded(folder):
    """The same of encoded images."""
    rows = encoded_rows(0, 10)
    train = [*rows, (0, rows[5][1]), (2, rows[5][1])]
    test = [*encoded_rows(1, 9), (1, rows[5][1]), (1, rows[3][1]), (1, rows[4][1])]
    splits = {"train": ordered(train), "test": ordered(test)}
    shards.write(folder, ABOUT, splits, CLASSES)


def ordered(rows):
    """Rows as a data set has them."""
    return sorted(rows, key=lambda row: (row[0], sha256(row[1]).digest()))


@pytest.fixture(params=[pixels, encoded])
def folder(request, tmp_path):
    """A prepared data set with twins."""
    request.param(tmp_path / "toy")
    return tmp_path / "toy"


def test_twins_are_counted(folder):
    """Second copies within the training split, and test images that stand there too."""
    assert count_twins(open_data(folder)) == COUNTS


def test_images_of_one_group_are_those_of_equal_content(folder):
    """Against a comparison of each image with each other."""
    data = open_data(folder)
    images = data.images("train") if hasattr(data, "images") else list(data.encoded("train"))
    content = [np.asarray(image).tobytes() for image in images]
    numbers = groups(data.digests("train"))

    assert len(numbers) == 12
    for i, one in enumerate(content):
        for j, other in enumerate(content):
            assert (numbers[i] == numbers[j]) == (one == other)


def test_images_without_a_twin_are_told(folder):
    """All but the three test images."""
    data = open_data(folder)
    apart = without_twins(data.digests("test"), data.digests("train"))
    known = {bytes(digest) for digest in data.digests("train")}

    assert len(apart) == 9
    assert [bytes(d) in known for d in data.digests("test")[apart]] == [False] * 9


def test_counts_are_kept_in_the_description(folder):
    """Of data prepared before that they are counted; a view without test images has its own."""
    data = open_data(folder)
    fingerprint = data.fingerprint
    assert known_twins(data) == COUNTS
    assert note_twins(folder) == json.loads((folder / "meta.json").read_text())["twins"] == COUNTS

    path = folder / "meta.json"
    path.write_text(path.read_text().replace('"test": 3', '"test": 7'))
    again = open_data(folder)
    assert known_twins(again) == {"train": 2, "test": 7}, "read, not counted"
    assert known_twins(again.training_only()) == {"train": 2}
    assert again.fingerprint == fingerprint


def test_a_share_does_not_take_the_counts_of_the_whole(tmp_path):
    """It has fewer twins."""
    encoded(tmp_path / "toy")
    note_twins(tmp_path / "toy")
    shards.take(open_data(tmp_path / "toy"), tmp_path / "share", {"train": np.arange(2)})

    assert "twins" not in json.loads((tmp_path / "share" / "meta.json").read_text())
    assert known_twins(open_data(tmp_path / "share"))["train"] == 0


def test_twins_are_said_in_one_line():
    """With numbers, or that there are none."""
    images = {"train": 50_000, "test": 10_000}

    assert in_words({"train": 18, "test": 10}, images) == (
        "10 of 10,000 test images also stand in the training split; "
        "18 of 50,000 training images are second copies"
    )
    assert in_words({"train": 0, "test": 0}, images).startswith("no image stands")


def test_copies_within_and_across_the_other_splits_are_told(tmp_path):
    """Second copies in valid and test, and test images that stand in valid; else nothing."""
    splits = pixel_splits()
    rng = np.random.RandomState(5)
    valid = rng.randint(0, 256, splits["test"][0].shape, dtype=np.uint8)
    splits["valid"] = valid, splits["test"][1].copy()
    arrays.write(tmp_path / "toy", "toy", splits, CLASSES)
    assert other_copies(open_data(tmp_path / "toy")) == ""

    valid[3] = valid[4]
    splits["test"][0][[1, 2]] = valid[7]
    arrays.write(tmp_path / "toy", "toy", splits, CLASSES)
    assert sorted(other_copies(open_data(tmp_path / "toy")).split("; ")) == [
        "1 of 12 test images are second copies",
        "1 of 12 valid images are second copies",
        "2 of 12 test images also stand in valid",
    ]
