"""What other test labels change: the epoch at which the teacher is taken, and all behind it."""

import json

import pytest
from tiny_project import SCALE, SEARCH, TEACHER

from kdbench.data.stored import arrays


@pytest.fixture
def other_labels(monkeypatch):
    """Call it, and every test split that is opened from then on has wrong labels throughout."""
    read = arrays.map_array

    def reading(path, *rest):
        array = read(path, *rest)
        return _wrong(array) if path.name == "test_labels.npy" else array

    return lambda: monkeypatch.setattr(arrays, "map_array", reading)


def _wrong(labels):
    """The next class in place of each: what is best for these is early, not late."""
    return (labels + 1) % 10


def scheme(project):
    """What the search of a project found, to the byte."""
    return (project.folder(SEARCH) / "scheme.safetensors").read_bytes()


def best_epoch(project):
    """Of the teacher, on the test set."""
    return json.loads(project.record_file(TEACHER).read_text())["metrics"]["best"]["epoch"]


@pytest.mark.slow
def test_test_labels_change_a_search_by_way_of_its_teacher_alone(finished, other_labels):
    """At the epoch that was best on the test set they do; at the last epoch they do not."""
    last = {"scales": {"smoke": {**SCALE, "teacher_epoch": "last"}}}
    reported = {"scales": {"smoke": SCALE}}
    found, epoch = {}, best_epoch(finished)
    found["reported"] = scheme(finished)
    finished.edit(**last)
    finished.run(SEARCH)
    found["last"] = scheme(finished)
    finished.undo(SEARCH)
    finished.undo(TEACHER)
    other_labels()

    finished.run(SEARCH)

    assert best_epoch(finished) != epoch
    assert scheme(finished) == found["last"]
    finished.edit(**reported)
    finished.undo(SEARCH)
    finished.run(SEARCH)
    assert scheme(finished) != found["reported"]
