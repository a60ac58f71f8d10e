"""What is timed first, and what the rest is scaled by."""

import pytest

from kdbench.runs.estimate.throughput import Timing, Unit, declare, order, scale, time_units


def unit(name, family, macs, count=1):
    """A step of one family of networks."""
    return Unit(name, [(family,), ()], macs, count)


def test_the_largest_of_every_family_comes_first():
    """Then all others by their share of the multiply-adds."""
    units = [unit("a1", "a", 1), unit("a9", "a", 9), unit("b2", "b", 1, 2), unit("a5", "a", 5)]

    assert [one.name for one in order(units)] == ["a9", "b2", "a5", "a1"]


def test_timing_ends_with_its_budget_and_the_rest_is_scaled_within_the_family():
    """Throughput is that of the timed work of the closest family: 10 a second, 1 a second."""
    units = [unit("a", "a", 100), unit("b", "b", 50), unit("a2", "a", 30), unit("c", "c", 15)]
    now = iter(range(100))
    time_units(
        units[:3],
        lambda u: Timing(u.macs / (10 if u.name == "a" else 1), 7),
        1.5,
        lambda: next(now),
    )
    scale(units)

    assert [one.timed for one in units] == [True, True, False, False]
    assert [one.memory for one in units] == [7, 7, None, None]
    assert units[2].seconds == pytest.approx(3)
    assert units[3].seconds == pytest.approx(15 * (10 + 50) / 150)  # no family: of all


def test_one_unit_is_timed_whatever_the_budget():
    """Nothing could be scaled otherwise."""
    units = [unit("a", "a", 100), unit("b", "b", 50)]
    time_units(units, lambda u: Timing(1.0, 1), 0)

    assert [one.timed for one in units] == [True, False]


def test_where_nothing_was_timed_nothing_is_said():
    """No throughput, no seconds."""
    units = [unit("a", "a", 100)]
    scale(units)

    assert units[0].seconds is None


def test_a_declared_throughput_counts_two_operations_a_multiply_add():
    """5e12 multiply-adds at 10 TFLOP/s are one second; that is not timed."""
    units = [unit("a", "a", 5 * 10**12)]
    declare(units, 10)

    assert units[0].seconds == 1
    assert not units[0].timed
