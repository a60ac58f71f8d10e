"""A change of arithmetic raises a revision: it is what makes old results old.

`golden/revisions.json` holds a few numbers of every method, network family and search, and of the
engine (loader, schedule, optimiser, evaluation). After a change that is meant, raise `revision` in
the component's declaration (in kdbench/store/spec.py for the engine and found students) and run
`make golden`, which is `python tests/golden/make.py`. New components need that as well.
"""

import math

import pytest
from golden.measure import components, numbers, stored

TOLERANCE = 1e-4  # relative
ENTRIES = components()


def differences(golden, found):
    """What differs, a line each."""
    lines = [f"{name!r} is new" for name in found.keys() - golden.keys()]
    for name, value in golden.items():
        if name not in found:
            lines.append(f"{name!r} is gone")
        elif not math.isclose(found[name], value, rel_tol=TOLERANCE, abs_tol=1e-9):
            lines.append(f"{name!r} is {found[name]:.9g}, was {value:.9g}")
    return lines


@pytest.mark.parametrize("key", ENTRIES)
def test_numbers_change_with_the_revision_only(key):
    """Same revision, same numbers; another revision, another entry."""
    entry, name = ENTRIES[key], key.rpartition("/")[2]
    golden = stored().get(key)
    if golden is None:
        pytest.fail(f"{key} has no golden numbers: run make golden")
    if golden["revision"] != entry.revision:
        said = f"{key} is of revision {entry.revision}, its golden numbers of {golden['revision']}"
        pytest.fail(f"{said}: run make golden")
    wrong = differences(golden["numbers"], numbers(entry, golden["parameters"]))
    if wrong:
        advice = f"raise `{entry.raised}` in {entry.file} and run make golden"
        listed = "".join(f"\n  {line}" for line in wrong[:5])
        pytest.fail(f"the arithmetic of {name} changed: {advice}{listed}", pytrace=False)


def test_nothing_is_measured_that_is_not_there():
    """An entry of a component that is gone would never fail again."""
    assert stored().keys() == ENTRIES.keys()


def test_the_measurements_can_fail():
    """Each has several numbers, most of them not 0, and none that is not finite."""
    assert stored()
    for key, golden in stored().items():
        values = list(golden["numbers"].values())
        assert all(math.isfinite(value) for value in values), key
        assert key == "method/none" or sum(abs(value) > 1e-6 for value in values) >= 4, key


def test_a_relative_change_of_the_tolerance_is_seen():
    """And a smaller one is not."""
    assert differences({"a": 2.0, "b": 1.0}, {"a": 2.0 * (1 + 9e-5), "b": 1.0}) == []
    assert len(differences({"a": 2.0, "b": 1.0}, {"a": 2.0 * (1 + 2e-4), "c": 1.0})) == 3
