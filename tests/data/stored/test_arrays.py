"""The prepared folder: order, fingerprint, and what a damaged one says."""

import json

import numpy as np
import pytest

from kdbench.data.stored.arrays import Prepared, verify, write
from kdbench.data.stored.fingerprint import fingerprint
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError

CLASSES = ["a", "b", "c"]


def splits_of(seed=0, n=12):
    """Random images of height 4 and width 5 in two splits."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, 4, 5, 3), dtype=np.uint8), rng.integers(0, 3, n))
        for split in ("train", "test")
    }


@pytest.fixture
def folder(tmp_path):
    """A prepared data set."""
    write(tmp_path / "set", "toy", splits_of(), CLASSES)
    return tmp_path / "set"


def test_what_was_written_is_opened(folder):
    """Every image keeps its label, and the description fits."""
    images, labels = splits_of()["test"]
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
    shuffled = {s: (images[order], labels[order]) for s, (images, labels) in splits_of().items()}

    write(tmp_path / "other", "toy", shuffled, CLASSES)

    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("what", ["pixel", "label", "class", "split", "shape"])
def test_the_fingerprint_sees_every_change(what):
    """One pixel, label, class name, split name or another shape of the same bytes."""
    splits, classes = splits_of(), list(CLASSES)
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
    pixels = splits_of()["train"][0].reshape(-1, 3) / 255

    np.testing.assert_allclose(data.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(0), rtol=1e-12)


def test_training_only_cannot_reach_the_test_split(folder, layouts):
    """The error says why, and no attribute leads to a test image."""
    data = Prepared.open(folder)
    view = data.training_only()

    assert view.splits == ("train",)
    np.testing.assert_array_equal(view.images("train"), data.images("train"))
    for reach in (view.images, view.labels, view.training_only().images):
        with pytest.raises(UserError) as caught:
            reach("test")
        layouts.one_line(caught, "toy", "'test'", "a search must not see test images")
    assert list(view._arrays) == ["train"]
    assert str(folder) not in repr(vars(view)["name"])
    assert "test" in data.splits


def test_training_only_keeps_every_other_split(tmp_path):
    """A set with its own split for choices offers it to them."""
    splits = splits_of()
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


def test_more_images_than_are_written_at_a_time(tmp_path, monkeypatch):
    """Parts are joined without a gap, whatever their size: files, fingerprint and statistics."""
    write(tmp_path / "whole", "toy", splits_of(), CLASSES)
    monkeypatch.setattr("kdbench.data.stored.fingerprint.BLOCK", 5)
    turned = {s: (np.asfortranarray(images), labels) for s, (images, labels) in splits_of().items()}
    write(tmp_path / "parts", "toy", turned, CLASSES)

    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_an_unknown_split_is_named(folder):
    """A typing error gets the nearest split."""
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        Prepared.open(folder).images("trian")


def test_arrays_cannot_be_changed(folder):
    """They are the data of every run."""
    with pytest.raises(ValueError, match="read-only"):
        Prepared.open(folder).images("train")[0] = 0


def test_verify_sees_a_changed_pixel(folder, layouts):
    """The fingerprint is computed anew."""
    assert verify(folder) == Prepared.open(folder).fingerprint
    path = folder / "test_images.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)

    with pytest.raises(DamagedData) as caught:
        verify(folder)
    layouts.one_line(caught, folder, "fingerprint", "prepare the data set again")


@pytest.mark.parametrize("name", ["train_images.npy", "train_labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "absent"])
def test_damaged_folders_do_not_open(folder, layouts, name, damage):
    """A cut, empty or absent file is one line that names it."""
    path = folder / name
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 40 if damage == "cut" else 0])

    with pytest.raises(UserError) as caught:
        Prepared.open(folder)
    layouts.one_line(caught, folder, name, "prepare the data set again")


@pytest.mark.parametrize("meta", ["[]", "{}", '{"counts": {"train": 12}}', "null"])
def test_a_description_with_something_missing(folder, layouts, meta):
    """Valid JSON of another kind is no description."""
    (folder / "meta.json").write_text(meta)
    with pytest.raises(DamagedData) as caught:
        Prepared.open(folder)
    layouts.one_line(caught, "meta.json")


def test_arrays_that_do_not_fit_the_description(folder, layouts):
    """Another number of images than described is damage."""
    meta = json.loads((folder / "meta.json").read_text())
    meta["counts"]["train"] = 13
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(DamagedData) as caught:
        Prepared.open(folder)
    layouts.one_line(caught, "train_images.npy", "(12, 4, 5, 3)", "(13, 4, 5, 3)")


def test_preparing_again_replaces_the_folder(folder):
    """The new data set takes the place of the old one; nothing else is left."""
    new = write(folder, "toy", splits_of(seed=1), CLASSES)

    assert Prepared.open(folder).fingerprint == new == verify(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_full_disk_leaves_the_old_folder(folder, layouts, small_disk):
    """One line, and what was there before is untouched."""
    before = verify(folder)
    with small_disk(500), pytest.raises(UserError) as caught:
        write(folder, "toy", splits_of(seed=1), CLASSES)
    layouts.one_line(caught, folder, "no room left on the disk")

    assert verify(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_an_unexpected_fingerprint_writes_nothing(folder, layouts):
    """The published fingerprint is compared before anything is replaced."""
    before = verify(folder)
    with pytest.raises(DamagedData) as caught:
        write(folder, "toy", splits_of(seed=1), CLASSES, expected={"fingerprint": "0" * 64})
    layouts.one_line(caught, "toy", "0" * 64)

    assert verify(folder) == before


def test_a_folder_of_something_else_is_never_replaced(tmp_path, layouts):
    """A mistyped output folder must not cost anybody their files."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadValue) as caught:
        write(tmp_path, "toy", splits_of(), CLASSES)
    layouts.one_line(caught, tmp_path, "thesis.tex", "choose another folder")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_way(tmp_path, layouts):
    """An output folder that is a file is one line."""
    (tmp_path / "set").write_text("x")
    with pytest.raises(UserError) as caught:
        write(tmp_path / "set", "toy", splits_of(), CLASSES)
    layouts.one_line(caught, tmp_path / "set")
    assert (tmp_path / "set").read_text() == "x"
