"""What a comparison may conclude."""

import doctest

import pytest

from kdbench.report.readings import statistics, verdict
from kdbench.report.readings.verdict import Verdict, judge


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([75.8, 75.9, 76.0], Verdict.REPRODUCED),
        ([75.8, 75.9, 76.2], Verdict.UNDECIDED),
        ([73.9, 75.9, 77.9], Verdict.UNDECIDED),
        ([75.9], Verdict.UNDECIDED),
        ([76.9, 77.0, 77.1], Verdict.HIGHER),
        ([74.9, 75.0, 75.1], Verdict.LOWER),
        ([75.4, 75.5, 75.6], Verdict.UNDECIDED),
    ],
    ids=["same", "almost", "right mean, wide spread", "one run", "higher", "lower", "straddles"],
)
def test_the_interval_of_the_gap_decides(ours, expected):
    """A verdict needs the whole interval on one side of the tolerance."""
    assert judge(75.9, ours, tolerance=0.3) is expected


@pytest.mark.parametrize("module", [verdict, statistics])
def test_the_examples_in_the_docstrings_hold(module):
    """The doctests run and pass."""
    outcome = doctest.testmod(module)

    assert outcome.attempted > 0 and outcome.failed == 0
