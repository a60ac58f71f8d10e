"""What holds of prepared data in either form."""

import json

import numpy as np
import pytest
from prepared_sets import Arrays, Shards

from kdbench.errors import BadValue, DamagedData, UnknownName, UserError

FORMS = [Arrays, Shards]
FILES = [(form, name) for form in FORMS for name in (*form.files, "meta.json")]


@pytest.fixture(params=FORMS)
def form(request):
    """Each form in turn."""
    return request.param


@pytest.fixture
def folder(form, tmp_path):
    """A prepared data set of that form."""
    form.write(tmp_path / "set")
    return tmp_path / "set"


def test_training_only_cannot_reach_the_test_split(form, folder, layouts):
    """The error says why; the view holds every other split and no part of the test split."""
    data = form.Data.open(folder)
    view = data.training_only()

    assert set(view.splits) == set(data.splits) - {"test"}
    np.testing.assert_array_equal(form.images(view, "train")[3], form.images(data, "train")[3])
    for images_or_labels in (lambda split: form.images(view, split), view.labels):
        with pytest.raises(BadValue) as caught:
            images_or_labels("test")
        layouts.one_line(caught, "toy", "'test'", "a search must not see test images")
    with pytest.raises(BadValue, match="must not see"):
        view.training_only().labels("test")
    assert "test" not in view._parts
    assert "test" in data.splits


@pytest.mark.parametrize("look", [lambda data: data, lambda data: data.training_only()])
def test_an_unknown_split_gets_the_nearest_name(form, folder, look):
    """Of the whole data set and of the view without its test split."""
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        look(form.Data.open(folder)).labels("trian")


@pytest.mark.parametrize(("form", "name"), FILES)
@pytest.mark.parametrize("damage", ["cut", "empty", "absent"])
def test_damaged_folders_do_not_open(form, tmp_path, layouts, name, damage):
    """A cut, empty or absent file is one line that names it."""
    form.write(tmp_path / "set")
    path = tmp_path / "set" / name
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 40 if damage == "cut" else 0])

    with pytest.raises(UserError) as caught:
        form.Data.open(tmp_path / "set")
    layouts.one_line(caught, tmp_path / "set", name, "prepare the data set again")


@pytest.mark.parametrize("meta", ["[]", "{}", '{"counts": {"train": 12}}', "null"])
def test_a_description_that_lacks_something_is_damage(form, folder, layouts, meta):
    """Valid JSON of another kind is no description, whatever format it tells."""
    for text in (meta, meta.replace("}}", '}, "format": "arrays"}')):
        (folder / "meta.json").write_text(text)
        with pytest.raises(DamagedData) as caught:
            form.Data.open(folder)
        layouts.one_line(caught, "meta.json")


def test_counts_that_do_not_fit_the_files_are_damage(form, folder, layouts):
    """Another number of images than described; the file and both numbers are named."""
    meta = json.loads((folder / "meta.json").read_text())
    meta["counts"]["train"] = 13
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(DamagedData) as caught:
        form.Data.open(folder)
    layouts.one_line(caught, "train_", ".npy", "(12,", "(13,")


def test_one_form_does_not_open_as_the_other(form, folder, layouts):
    """The format of the description decides, before any file is looked at."""
    (other,) = set(FORMS) - {form}
    with pytest.raises(DamagedData) as caught:
        other.Data.open(folder)
    layouts.one_line(caught, "meta.json", f"format {form.Data.FORMAT!r}", repr(other.Data.FORMAT))


@pytest.mark.parametrize("before", FORMS)
def test_preparing_again_replaces_the_folder(form, tmp_path, before):
    """The new data set takes the place of the old one, of either form; nothing else is left."""
    before.write(tmp_path / "set")
    form.write(tmp_path / "alone", seed=1)

    new = form.write(tmp_path / "set", seed=1)

    assert form.Data.open(tmp_path / "set").fingerprint == new == form.verify(tmp_path / "set")
    assert listing(tmp_path) == ["alone", "set"]
    assert listing(tmp_path / "set") == listing(tmp_path / "alone")


@pytest.mark.parametrize("size", [0, 100, 500])
def test_a_full_disk_leaves_the_old_folder(form, folder, layouts, small_disk, size):
    """One line, and what was there before is untouched."""
    before = form.verify(folder)
    with small_disk(size), pytest.raises(UserError) as caught:
        form.write(folder, seed=1)
    layouts.one_line(caught, folder, "no room left on the disk")

    assert form.verify(folder) == before
    assert listing(folder.parent) == ["set"]


@pytest.mark.parametrize("name", ["thesis.tex", "train-1.arrow"])
def test_a_folder_of_something_else_is_never_replaced(form, tmp_path, layouts, name):
    """A mistyped output folder must not cost anybody their files."""
    (tmp_path / name).write_text("years of work")
    with pytest.raises(BadValue) as caught:
        form.write(tmp_path)
    layouts.one_line(caught, tmp_path, name, "choose another folder")
    assert (tmp_path / name).read_text() == "years of work"


def test_a_file_in_the_way_is_one_line(form, tmp_path, layouts):
    """An output folder that is a file stays as it is."""
    (tmp_path / "set").write_text("x")
    with pytest.raises(UserError) as caught:
        form.write(tmp_path / "set")
    layouts.one_line(caught, tmp_path / "set")
    assert (tmp_path / "set").read_text() == "x"


def test_labels_cannot_be_changed(form, folder):
    """They are the data of every run."""
    with pytest.raises(ValueError, match="read-only"):
        form.Data.open(folder).labels("train")[0] = 0


def listing(folder):
    """Names in a folder."""
    return sorted(path.name for path in folder.iterdir())
