"""What a comparison may conclude."""

import doctest
from dataclasses import replace
from math import isclose, sqrt

import pytest
from scipy.stats import ttest_ind

from kdbench.exhibits.published import Published
from kdbench.report.readings import statistics, verdict
from kdbench.report.readings.verdict import Verdict, compare

PRINTED = Published(75.9, None, "paper")


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([75.8, 75.9, 76.0], Verdict.REPRODUCED),
        ([75.8, 75.9, 76.2], Verdict.UNDECIDED),
        ([73.9, 75.9, 77.9], Verdict.UNDECIDED),
        ([75.9], Verdict.UNDECIDED),
        ([75.9, 75.9], Verdict.UNDECIDED),
        ([76.9, 77.0, 77.1], Verdict.HIGHER),
        ([74.9, 75.0, 75.1], Verdict.LOWER),
        ([75.4, 75.5, 75.6], Verdict.UNDECIDED),
    ],
    ids=[
        "same",
        "almost",
        "right mean, wide spread",
        "one run",
        "no spread",
        "higher",
        "lower",
        "straddles",
    ],
)
def test_the_interval_of_the_gap_decides(ours, expected):
    """A verdict needs the whole interval on one side of the tolerance."""
    assert compare(PRINTED, ours, tolerance=0.3).verdict is expected


OURS = [75.85, 75.87, 75.90, 75.93, 75.95]  # 75.90 ± 0.04 (5)


def test_a_printed_spread_counts_with_its_number_of_runs():
    """76.64 ± 1.16 of 5 runs says little: Welch's interval is scipy's, and leaves 75.90 open."""
    theirs = [76.64 + 1.16 * step / sqrt(2.5) for step in (-2, -1, 0, 1, 2)]  # as printed
    gap = compare(Published(76.64, 1.16, "paper", runs=5), OURS, tolerance=0.5)
    low, high = ttest_ind(OURS, theirs, equal_var=False).confidence_interval()

    assert gap.half is not None and gap.verdict is Verdict.UNDECIDED
    assert isclose(gap.value - gap.half, low) and isclose(gap.value + gap.half, high)
    assert compare(Published(76.64, 1.16, "paper"), OURS, 0.5).verdict is Verdict.LOWER


@pytest.mark.parametrize(("spread", "wide"), [(0.2, False), (0.5, True)])
def test_the_smallest_gap_that_would_count_is_told(spread, wide):
    """From the tolerance and half of the interval on; a wide interval can reproduce nothing."""
    gap = compare(Published(75.9, spread, "paper", runs=5), OURS, tolerance=0.3)

    assert gap.half is not None and gap.differs_from == 0.3 + gap.half
    assert gap.too_wide is wide and (gap.verdict is Verdict.REPRODUCED) is not wide
    just_beyond = replace(gap, value=-gap.differs_from - 1e-9)
    assert just_beyond.verdict is Verdict.LOWER
    assert replace(just_beyond, value=-gap.differs_from + 1e-9).verdict is Verdict.UNDECIDED


def test_one_run_decides_no_gap():
    """However large."""
    gap = compare(PRINTED, [10.0], tolerance=0.3)

    assert gap.half is gap.differs_from is None and gap.too_wide


@pytest.mark.parametrize("module", [verdict, statistics])
def test_the_examples_in_the_docstrings_hold(module):
    """The doctests run and pass."""
    outcome = doctest.testmod(module)

    assert outcome.attempted > 0 and outcome.failed == 0
