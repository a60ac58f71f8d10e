"""A change of arithmetic raises a revision: it is what makes old results old.

`golden/revisions.json` holds a few numbers of every method, network family and search, and of the
engine (loader, schedule, optimiser, evaluation). After a change that is meant, raise `revision` in
the component's declaration (in kdbench/store/spec.py for the engine and pruned students) and run
`make golden`, which is `python tests/golden/make.py`. New components need that as well.
"""

import math

import pytest
from golden.measure import components, numbers
from golden.stored import as_text, stored
from sampling import sampled

TOLERANCE = 1e-4  # relative
ENTRIES = components()


def differences(golden, measured):
    """What differs, one line per number."""
    lines = [f"{name!r} is new" for name in measured.keys() - golden.keys()]
    for name, value in golden.items():
        if name not in measured:
            lines.append(f"{name!r} is gone")
        elif not math.isclose(measured[name], value, rel_tol=TOLERANCE, abs_tol=1e-9):
            lines.append(f"{name!r} is {measured[name]:.9g}, was {value:.9g}")
    return lines


@pytest.mark.parametrize("key", sampled(ENTRIES, {*ENTRIES} - {"network/deit"}))  # a ViT
def test_the_numbers_of_a_revision_are_its_golden_numbers(key):
    """And the revision is the one that was measured."""
    entry, name = ENTRIES[key], key.rpartition("/")[2]
    golden = stored().get(key)
    if golden is None:
        pytest.fail(f"{key} has no golden numbers: run make golden")
    if golden["revision"] != entry.revision:
        line = f"{key} is of revision {entry.revision}, its golden numbers of {golden['revision']}"
        pytest.fail(f"{line}: run make golden")
    wrong = differences(golden["numbers"], numbers(entry, golden["parameters"]))
    if wrong:
        advice = f"raise `{entry.raised}` in {entry.file} and run make golden"
        listed = "".join(f"\n  {line}" for line in wrong[:5])
        pytest.fail(f"the arithmetic of {name} changed: {advice}{listed}", pytrace=False)


def test_the_file_keeps_every_number():
    """Counted ones as a list; those of which one is missing by their names."""
    numbers = {"out 0": 1.5, "out 1": 2.5, "loss 1": 3.5, "loss 2": 4.5, "ece": 5.5}
    entries = {"network/x": {"revision": 1, "parameters": {}, "numbers": numbers}}

    assert stored(as_text(entries)) == entries
    assert '"out": [1.5, 2.5]' in as_text(entries)
    assert stored(as_text(stored())) == stored()


def test_the_golden_numbers_are_of_todays_components():
    """No entry is of a component that is gone, and none is missing."""
    assert stored().keys() == ENTRIES.keys()


def test_every_component_has_at_least_four_finite_numbers_other_than_0():
    """But the method `none`, which has no terms."""
    assert stored()
    for key, golden in stored().items():
        values = list(golden["numbers"].values())
        assert all(math.isfinite(value) for value in values), key
        assert key == "method/none" or sum(abs(value) > 1e-6 for value in values) >= 4, key


def test_a_change_of_more_than_the_tolerance_is_a_difference():
    """A smaller one is not; a number that is new or gone is one."""
    assert differences({"a": 2.0, "b": 1.0}, {"a": 2.0 * (1 + 9e-5), "b": 1.0}) == []
    assert len(differences({"a": 2.0, "b": 1.0}, {"a": 2.0 * (1 + 2e-4), "c": 1.0})) == 3
