"""Pairs of code that gives the same numbers lead from any older commit to today."""

from golden.same_code import paired


def test_pairs_are_those_of_the_same_runs():
    """A fingerprint that several runs share may lead to several of today's."""
    before = {"run 1": "a", "run 2": "a", "run 3": "b", "gone": "c"}
    now = {"run 1": "x", "run 2": "y", "run 3": "b", "new": "z"}

    assert paired({}, before, now) == {"a": ["x", "y"]}


def test_older_pairs_lead_on_to_today():
    """What was equal to a commit's code is equal to today's; what leads nowhere is dropped."""
    before, now = {"run 1": "b"}, {"run 1": "c"}

    assert paired({"a": ["b"], "old": ["lost"]}, before, now) == {"a": ["c"], "b": ["c"]}


def test_code_that_did_not_change_stays_paired_with_what_was_equal_to_it():
    """No pair of a fingerprint with itself, and none forgotten."""
    assert paired({"a": ["b"]}, {"run 1": "b"}, {"run 1": "b"}) == {"a": ["b"]}


def test_what_was_paired_stays_paired_when_it_is_done_again():
    """As after more records of the same older code have come."""
    before, now = {"run 1": "b"}, {"run 1": "c"}
    once = paired({"a": ["b"]}, before, now)

    assert once == {"a": ["c"], "b": ["c"]}
    assert paired(once, before, now) == once
