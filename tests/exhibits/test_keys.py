"""Keys of the runs that figures and summaries read."""

import pytest

from kdbench.exhibits.keys import NetworkRole, SeedKey, SizeKey, SweepKey
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import NamedRuns
from kdbench.papers import catalogue

NAMED = [exhibit for exhibit in catalogue() if isinstance(exhibit, NamedRuns)]


@pytest.mark.parametrize("exhibit", NAMED, ids=lambda exhibit: exhibit.id)
def test_no_two_runs_of_an_exhibit_share_a_key_or_its_printed_name(exhibit):
    """A shared key would hide one of the two runs; a shared name would tell readers nothing."""
    keys = [key for key, _ in exhibit.requests]

    assert keys and len(set(keys)) == len({str(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("key", "printed"),
    [
        (Pair("wrn-40-2", "wrn-16-2"), "wrn-40-2:wrn-16-2"),
        (
            SizeKey("CIFAR-10", NetworkRole.SEARCHED, distilled=True),
            "CIFAR-10, searched, distilled",
        ),
        (SizeKey("CIFAR-10", "vgg-sbs", distilled=False), "CIFAR-10, vgg-sbs, scratch"),
        (SweepKey(0.0005), "search at 0.0005"),
        (SweepKey(2.0, students=True), "students at 2"),
        (SeedKey("DFA", 1), "DFA, seed 1"),
    ],
)
def test_a_key_prints_all_its_parts(key, printed):
    """The text names every part, so that readers can tell the runs of a figure apart."""
    assert str(key) == printed
