"""Depths are recorded in metres and printed in centimetres, measured and published ones alike."""

import pytest
from plan_fixtures import planned

from kdbench.papers.distpro_depth import CLAIMS, TABLE6
from kdbench.report.readings.cells import published


def test_published_and_measured_numbers_are_in_one_unit():
    """The paper's 0.2032 is 20.32 cm; the smaller is the better."""
    graph = planned(datasets=["nyuv2"], exhibits=[TABLE6.id])
    (column,) = TABLE6.all_columns
    numbers = {row.label: published(graph, TABLE6, row, column) for row in TABLE6.rows}

    assert numbers.pop("teacher") is None
    assert [round(number.value, 2) for number in numbers.values()] == pytest.approx(
        [20.32, 20.45, 19.83, 20.30, 19.72]
    )
    assert not TABLE6.metric.higher_is_better
    assert TABLE6.metric.shown(0.2032) == pytest.approx(20.32)


def test_claims_name_rows_of_the_table():
    """A row that is renamed in one place alone would decide nothing."""
    labels = {row.label for row in TABLE6.rows}
    best, worse = (claim.check for claim in CLAIMS)

    assert {best.row, *best.apart} <= labels
    assert {*worse.pairs[0]} == {"baseline", "KD, the teacher's depth as target"}
    assert {*worse.pairs[0]} <= labels
