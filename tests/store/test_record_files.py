"""Records are read back or refused; long curves keep their ends."""

import json
from itertools import pairwise

import pytest

from kdbench.errors import DamagedData
from kdbench.store.atomic import write_json
from kdbench.store.record import (
    SCHEMA,
    Seal,
    read_intact,
    read_record,
    seal_of,
    thinned,
    write_record,
)

CONTENT = {"b": [1.5, None], "a": "é", "metrics": {"top1": 80.56, 7: (1, 2)}}


@pytest.fixture(name="record")
def sealed_record(tmp_path):
    """A sealed record on the disk."""
    write_record(tmp_path / "one.json", CONTENT)
    return tmp_path / "one.json"


def test_a_record_comes_back_and_is_intact(record):
    """As JSON has it: numbers as keys are text, tuples are lists."""
    content = read_intact(record)

    assert content == {
        "schema": SCHEMA,
        "b": [1.5, None],
        "a": "é",
        "metrics": {"top1": 80.56, "7": [1, 2]},
        "seal": content["seal"],
    }
    assert seal_of(content) is Seal.INTACT


def test_a_list_of_numbers_is_one_line_and_no_text_is_changed(tmp_path):
    """Whatever a text holds that looks like a list."""
    content = {
        "steps": [[0.5, -1e-7], [None, 2]],
        "notes": ["[\n 1,\n 2\n]", '"[1,  2]"'],
        "no": [],
    }
    write_record(tmp_path / "one.json", content)
    record = read_intact(tmp_path / "one.json")

    assert {key: record[key] for key in content} == content
    lines = (tmp_path / "one.json").read_text().splitlines()
    assert "  [0.5, -1e-07]," in lines and "  [null, 2]" in lines


def test_layout_does_not_break_a_seal(record):
    """Another order of keys and other spaces, as after a merge or an editor."""
    content = json.loads(record.read_text())
    record.write_text(json.dumps(dict(reversed(content.items())), ensure_ascii=False))

    assert seal_of(read_record(record)) is Seal.INTACT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("80.56", "99.9"),
        ("80.56", "80.56000000000001"),
        ("80.56", "NaN"),
        ("null", "0"),
        ('"b"', '"c"'),
        ('"schema": 2', '"schema": 1'),
        ('"seal"', '"sealed"'),
    ],
)
def test_an_edit_breaks_the_seal(record, old, new):
    """Of a number, however small, of a key, of the schema, of the seal itself."""
    text = record.read_text()
    assert text.count(old) == 1
    record.write_text(text.replace(old, new))

    assert seal_of(read_record(record)) is Seal.BROKEN
    with pytest.raises(DamagedData, match="matches its seal; bring the file back") as caught:
        read_intact(record)
    assert str(record) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_record_of_the_older_schema_is_read_and_has_no_seal(tmp_path):
    """It is not called changed."""
    write_json(tmp_path / "old.json", {"schema": 1, "metrics": {}})

    assert seal_of(read_intact(tmp_path / "old.json")) is Seal.ABSENT


@pytest.mark.parametrize("content", ["{", "[1]", '{"schema": 3}', "{}", ""])
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
