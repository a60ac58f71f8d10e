"""Pixels or encoded images: one door to both forms of prepared data."""

import json

import numpy as np
import pytest
from prepared_sets import ABOUT, CLASSES, ENCODED_SPLITS, change_byte

from kdbench.data.stored.arrays import Prepared
from kdbench.data.stored.arrays import write as write_arrays
from kdbench.data.stored.open import open_data, verify_data
from kdbench.data.stored.shards import Sharded, write
from kdbench.errors import DamagedData, UserError


@pytest.fixture
def folder(tmp_path):
    """A prepared data set of encoded images."""
    write(tmp_path / "set", ABOUT, ENCODED_SPLITS, CLASSES)
    return tmp_path / "set"


def test_either_form_is_opened_and_verified(folder, tmp_path):
    """One door to both, by what the description says."""
    images = np.random.RandomState(0).randint(0, 256, (6, 4, 4, 3)).astype(np.uint8)
    arrays = tmp_path / "arrays"
    fingerprint = write_arrays(arrays, "toy", {"train": (images, np.arange(6) % 3)}, CLASSES)

    assert isinstance(open_data(arrays), Prepared)
    assert isinstance(open_data(folder), Sharded)
    assert verify_data(arrays) == fingerprint
    assert verify_data(folder) == Sharded.open(folder).fingerprint
    change_byte(folder / "test_labels.npy", -8)
    change_byte(arrays / "train_labels.npy", -8)
    for place in (folder, arrays):
        with pytest.raises(DamagedData, match="fingerprint"):
            verify_data(place)


def test_data_of_before_there_were_forms_is_opened(tmp_path):
    """Its description says nothing of a form; it is pixels."""
    images = np.zeros((6, 4, 4, 3), np.uint8)
    write_arrays(tmp_path / "set", "toy", {"train": (images, np.arange(6) % 3)}, CLASSES)
    meta = json.loads((tmp_path / "set" / "meta.json").read_text())
    meta.pop("format", None)
    (tmp_path / "set" / "meta.json").write_text(json.dumps(meta))

    assert isinstance(open_data(tmp_path / "set"), Prepared)


@pytest.mark.parametrize("look", [open_data, verify_data])
def test_a_form_of_the_future_is_refused(folder, layouts, look):
    """Not read as something that it is not."""
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": "tokens"}))
    with pytest.raises(DamagedData) as caught:
        look(folder)
    layouts.one_line(caught, "'tokens'", repr(Sharded.FORMAT), "another version")


@pytest.mark.parametrize("look", [open_data, verify_data])
def test_an_empty_folder_is_no_data_set(tmp_path, layouts, look):
    """One line that says what to do."""
    with pytest.raises(UserError) as caught:
        look(tmp_path)
    layouts.one_line(caught, tmp_path, "no prepared data set here", "prepare")
