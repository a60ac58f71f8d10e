"""Images per second against what the device needs."""

from types import SimpleNamespace

import pytest

from kdbench.data.loaders.streaming import StreamingLoader
from kdbench.runs import reading


@pytest.mark.parametrize(("waited", "advice"), [(1.0, False), (5.0, True)])
def test_advice_is_given_where_the_device_waits(waited, advice):
    """What the device needs is counted in the time that is left."""
    text = reading.in_words(2000, 20.0, waited)

    assert text.startswith("100 images per second; the device needs ")
    assert f"needs {2000 / (20 - waited):.0f} or more" in text
    assert ("KDBENCH_WORKERS" in text) == advice


def test_only_a_loader_that_decodes_says_it():
    """After every epoch that is long enough for its workers' start not to count."""
    lines = []
    streaming = StreamingLoader.__new__(StreamingLoader)  # only its kind is looked at
    for one in (streaming, SimpleNamespace()):
        told = reading.watch(lines.append, "student", one, 4)
        told(5, 20.0, 0.1)
        told(5, 0.5, 0.1)
    assert lines == ["student: 1 images per second; the device needs 1 or more"]
