"""Steps that a search calls alike do the same operations: those of one step count for all."""

import dfa_runs
import pytest
import sbs_runs

from kdbench.engine.multiply_adds import MultiplyAdds
from kdbench.engine.position import TrainingPosition


def by_kind(search, steps):
    """The multiply-adds of steps, (what to give `step`) each, by kind of work."""
    kinds = {}
    for given in steps:
        kind = search.work(given[-1])
        with MultiplyAdds() as counted:
            search.step(*given)
        kinds.setdefault(kind, []).append(counted.macs)
    return kinds


@pytest.mark.parametrize("options", dfa_runs.METHODS, ids=dfa_runs.IDS)
def test_dfa_s_work_is_its_turn(options):
    """Two groups of the three have the same head start; each step of a kind counts the same."""
    teacher, search = dfa_runs.start(head_start=0.5, **options)
    steps = [(*dfa_runs.data(teacher, k), TrainingPosition(k, 12, 0, 1)) for k in range(12)]
    kinds = by_kind(search, steps)

    assert set(kinds) == {(group, moves) for group in range(3) for moves in (False, True)}
    assert all(len(macs) == 2 and len(set(macs)) == 1 for macs in kinds.values())
    assert all(kinds[group, True][0] > kinds[group, False][0] for group in range(3))


def test_closed_gates_of_sbs_save_no_operation_during_the_search():
    """Masks are multiplied: every step of the search does the same."""
    teacher, search = sbs_runs.start(budget=0.0)
    kinds = by_kind(search, sbs_runs.batches(teacher, 6))

    assert list(kinds) == [None] and len(set(kinds[None])) == 1
