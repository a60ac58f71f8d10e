"""A student whose teacher's norms are folded learns the same, faster."""

from dataclasses import replace

import pytest
from test_every_method import student, taught, taught_once, trained  # noqa: F401


def test_a_student_learns_the_same_but_for_rounding(taught):  # noqa: F811
    """It is a run of its own, whose record says so, and whose teacher really was folded."""
    plain = student(taught, "kd")
    folded = replace(plain, runtime=replace(plain.runtime, fold_teacher=True))
    weights, record = trained(taught, plain)
    other_weights, other_record = trained(taught, folded)

    assert plain.digest != folded.digest
    assert other_record["spec"]["params"]["fold_teacher"] is True
    for name, curve in record["curves"].items():
        values = [v for v in other_record["curves"][name] if v is not None]
        assert values == pytest.approx([v for v in curve if v is not None], rel=0.05), name
    assert weights != other_weights
