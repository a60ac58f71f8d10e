"""Records are written once, whole, or not at all; long curves keep their ends."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from kdbench.errors import DamagedData
from kdbench.store.record import read_record, thinned, write_atomically, write_json


def test_a_record_comes_back_and_equal_contents_are_equal_bytes(tmp_path):
    """Folders are made; the order of keys is not kept."""
    first, second = tmp_path / "a/b/one.json", tmp_path / "a/b/two.json"
    write_json(first, {"schema": 1, "b": [1.5, None], "a": "é"})
    write_json(second, {"a": "é", "b": [1.5, None], "schema": 1})

    assert read_record(first) == {"schema": 1, "b": [1.5, None], "a": "é"}
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch, moment):
    """A full disk while writing, or a rename that fails: no half a file, no temporary one."""

    def fails(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os if moment == "fsync" else Path, moment, fails)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "record.json", "whole")

    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_older_file(tmp_path, monkeypatch):
    """Readers find what was there before."""
    file = tmp_path / "record.json"
    write_atomically(file, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(file, "new")

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """A power cut between the two leaves no empty record."""
    done, real = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda _: done.append("fsync"))
    monkeypatch.setattr(Path, "replace", lambda *a: done.append("replace") or real(*a))
    write_atomically(tmp_path / "record.json", "whole")

    assert done == ["fsync", "replace"]


def test_nan_is_not_written(tmp_path):
    """It would not be JSON; nothing is left behind."""
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "record.json", {"top1": float("nan")})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[1]", '{"schema": 2}', "{}", ""])
def test_what_is_no_record_is_refused_in_one_line(tmp_path, content):
    """Half a file, another layout, another schema."""
    file = tmp_path / "record.json"
    file.write_text(content)
    with pytest.raises(DamagedData, match="delete the file") as caught:
        read_record(file)

    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n", [0, 1, 2, 199, 200, 201, 399, 400, 15640])
def test_thinned_curves_keep_first_and_last(n):
    """At most 200 points, in order, evenly spaced, none twice."""
    points = thinned(range(n))

    assert len(points) == min(n, 200)
    assert points == sorted(set(points))
    assert points[:1] + points[-1:] == ([0, n - 1] if n else [])
    gaps = {b - a for a, b in pairwise(points)}
    assert len(gaps) <= 2


def test_thinned_curves_are_json():
    """Tuples and ranges become lists."""
    assert json.dumps(thinned((1, 2, 3), 2)) == "[1, 3]"
