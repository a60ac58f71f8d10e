"""The restricted reader of official pickles."""

import os
import pickle

import numpy as np
import pytest

from kdbench.data.ingest.pickles import loads, texts
from kdbench.errors import DamagedData

RECORD = {"data": np.arange(24, dtype=np.uint8).reshape(4, 6), "fine_labels": [3, 1], "name": "é"}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickles_of_today_are_read(protocol, order):
    """Every protocol of today's Python and numpy, and both memory layouts, give the same."""
    record = {**RECORD, "data": np.array(RECORD["data"], order=order)}

    content = loads(pickle.dumps(record, protocol), "here")

    np.testing.assert_array_equal(content["data"], RECORD["data"])
    assert content["data"].dtype == np.uint8
    assert content["fine_labels"] == [3, 1]
    assert texts([content["name"]]) == ["é"]


def test_pickles_of_python_2_are_read(layouts):
    """Keys become text, and the raw string becomes the array."""
    content = loads(layouts.python2(RECORD), "here")

    np.testing.assert_array_equal(content["data"], RECORD["data"])
    assert content["fine_labels"] == [3, 1]
    assert texts([content["name"]]) == ["é"]


def test_pickles_of_numpy_1_are_read(layouts):
    """The module was called numpy.core before numpy 2."""
    new = pickle.dumps(RECORD, 2)
    old = new.replace(b"numpy._core", b"numpy.core")
    assert new != old

    np.testing.assert_array_equal(loads(old, "here")["data"], RECORD["data"])


class Evil:
    """Runs a command when unpickled by anything careless."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open({!r}, 'w')",), "eval"),
        (open, ("{}", "w"), "open"),
        (getattr, (np.ndarray, "tofile"), "getattr"),
        (np.fromfile, ("{}",), "fromfile"),
        (np.load, ("{}",), "load"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_in_a_pickle_does_not_run(tmp_path, layouts, call, arguments, named, protocol):
    """The refused name is told, and the file that the code would make is not there."""
    target = tmp_path / "made"
    filled = tuple(a.format(target) if isinstance(a, str) else a for a in arguments)
    data = pickle.dumps({"data": Evil(call, *filled)}, protocol)

    with pytest.raises(DamagedData) as caught:
        loads(data, "train")
    layouts.one_line(caught, "train", named, "do not trust")
    assert not target.exists()


@pytest.mark.parametrize(
    "array",
    [np.array([None]), np.zeros(3), np.array(["a"]), np.zeros(2, "u1,u1")],
    ids=["objects", "floats", "text", "records"],
)
def test_only_arrays_of_bytes_are_read(array):
    """Arrays of objects could hold anything; the files need bytes only."""
    with pytest.raises(DamagedData):
        loads(pickle.dumps({"data": array}, 2), "train")


@pytest.mark.parametrize("shape", [(2, 6), (5, 6), (-1, 6), (10**12, 10**12)])
def test_an_array_must_fill_its_shape(layouts, shape):
    """A shape that lies neither allocates memory nor reads beyond the bytes."""

    class Liar:
        """An array with another shape than its bytes."""

        def __reduce__(self):
            rebuild, start, state = RECORD["data"].__reduce__()
            return rebuild, start, (state[0], shape, *state[2:])

    with pytest.raises(DamagedData) as caught:
        loads(pickle.dumps({"data": Liar()}, 2), "train")
    layouts.one_line(caught, "train", "do not fill its shape")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80", pickle.dumps([1]), pickle.dumps(None)])
def test_what_is_no_dictionary_is_refused(layouts, data):
    """Any bytes give one line, never a traceback of the unpickler."""
    with pytest.raises(DamagedData) as caught:
        loads(data, "meta")
    layouts.one_line(caught, "meta", "a dictionary")


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_truncated_pickles_are_refused(layouts, cut):
    """A pickle ends with a full stop, and this one does not."""
    with pytest.raises(DamagedData):
        loads(layouts.python2(RECORD)[:-cut], "train")
