"""No image that a search or a tuning holds out has equal pixels with one that is fitted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from typed_runs import search_run, student_run

from kdbench.data.stored import arrays
from kdbench.data.stored.arrays import Prepared
from kdbench.runs import held_out, search


@pytest.fixture
def data(tmp_path):
    """200 images of which 60 are copies of others, under other labels; a split for choices."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    images[140:] = images[:60]
    valid = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    valid[:10] = images[:10]
    splits = {"train": (images, np.arange(200) % 10), "test": (valid, np.arange(30) % 10)}
    arrays.write(tmp_path / "plain", "toy", splits, [str(k) for k in range(10)])
    splits["valid"] = splits["test"]
    arrays.write(tmp_path / "valid", "toy", splits, [str(k) for k in range(10)])
    return {name: Prepared.open(tmp_path / name) for name in ("plain", "valid")}


def pixels(data, split, index):
    """The content of some images of a split."""
    images = data.images(split)
    places = range(len(images)) if index is None else index
    return {images[place].tobytes() for place in places}


def loaders(data, run, monkeypatch):
    """What the search phase makes loaders of: purpose -> (split, positions)."""
    made = {}

    def spy(data, split, *rest, purpose="train", index=None):
        made[purpose] = split, index

    monkeypatch.setattr(search.assemble, "make_loader", spy)
    search._loaders(SimpleNamespace(spec=run, precision=None), data)
    return made


@pytest.mark.parametrize("tuned", [0.0, 0.1])
@pytest.mark.parametrize("form", ["plain", "valid"])
def test_a_search_holds_out_no_twin_of_what_it_fits(data, form, tuned, monkeypatch):
    """Nor of what its students are measured on, if training images are held out for that too."""
    run = replace(search_run("dfa", "wrn-40-2", "wrn-16-2"), tuning_holdout=tuned)
    whole = data[form]
    made = loaders(whole.training_only(), run, monkeypatch)
    fitted, held = (pixels(whole, *made[purpose]) for purpose in ("train", "held"))

    assert fitted and held
    assert not fitted & held
    if form == "valid":
        assert made["held"][0] == "valid" and len(made["held"][1]) < 30
    if tuned:
        _, measured = held_out.places(tuned, whole)
        own = fitted | (held if form == "plain" else set())  # valid is the data set's to give
        assert not pixels(whole, "train", measured) & own


def test_a_tuned_student_is_measured_on_no_twin_of_what_it_fits(data):
    """Both sides are whole groups, the same for every run."""
    run = replace(student_run("kd", "wrn-40-2", "wrn-16-2"), tuning_holdout=0.25)
    fitted = held_out.fitted(run, data["plain"])
    _, measured = held_out.places(0.25, data["plain"])

    assert len(fitted) == 150 and len(measured) == 50
    assert not pixels(data["plain"], "train", fitted) & pixels(data["plain"], "train", measured)
