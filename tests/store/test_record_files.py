"""Records are read back or refused; long curves keep their ends."""

import json
from itertools import pairwise

import pytest

from kdbench.errors import DamagedData
from kdbench.store.atomic import write_json
from kdbench.store.record import read_record, thinned


def test_a_record_comes_back(tmp_path):
    """What `write_json` wrote is read as it was."""
    content = {"schema": 1, "b": [1.5, None], "a": "é"}
    write_json(tmp_path / "one.json", content)

    assert read_record(tmp_path / "one.json") == content


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
