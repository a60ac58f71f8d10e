"""Students of a share of the epochs, and teachers at their last epoch."""

from dataclasses import replace

import pytest

from kdbench.exhibits.keys import BudgetKey
from kdbench.exhibits.requests import Pair
from kdbench.exhibits.tables import Row
from kdbench.papers import distpro, sbs
from kdbench.plan.build import Builder
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.plan.scales import SCALES
from kdbench.store.student_runs import TaughtRun

PAPER = Params(scale="paper")
LAST = Params(scale="paper", scales={"paper": {"teacher_epoch": "last"}})


def request(row, table=distpro.TABLE1, **changes):
    """What a row requests in a table's first column."""
    return replace(table.request(row, table.all_columns[0]), **changes)


def built(row, params=PAPER, table=distpro.TABLE1, **changes):
    """Its evaluation."""
    return Builder(params, find_components()).build(request(row, table, **changes))


def taught(evaluation):
    """Every search and student run behind an evaluation."""
    return [run for run in evaluation.with_upstream() if isinstance(run, TaughtRun)]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("paper", [24, 48, 120, 240]), ("lite", [1, 1, 2, 4]), ("smoke", [1, 1, 2, 4])],
)
def test_a_budget_is_a_share_of_the_scale_s_epochs(planned, scale, expected):
    """Teacher and search stay the same, one of each; the whole budget is Table 1's run."""
    graph = planned(scale=scale, exhibits=["distpro/budgets", "distpro/table1"])
    runs = graph.drawn["distpro/budgets"]

    epochs = [r.first.recipe.epochs for n, r in runs.items() if n.method == "DistPro"]
    assert epochs == expected
    teachers = {run.first.teacher.digest for run in runs.values()}
    (scheme,) = {s.digest for n, r in runs.items() for s in r.first.schemes if s}
    assert len(teachers) == 1 and graph.runs[scheme].recipe.epochs in (40, 3, 8)
    whole = [c.evaluation for c in graph.cells["distpro/table1"] if c.row.method == "distpro"]
    assert runs[BudgetKey("DistPro", 240)] is whole[0]


def test_the_rate_falls_at_the_same_shares_of_a_budget():
    """Milestones of a tenth of the epochs are at a tenth of theirs; the name has the epochs."""
    short = built(Row("a", "kd"), budget=0.1)

    assert short.cell == "wrn-40-2_wrn-16-2_kd-epochs-24"
    assert short.first.recipe.milestones == (15.1, 18.1, 21.1)
    assert short.first.teacher.recipe.epochs == 240


def test_a_whole_budget_changes_no_run():
    """Nor does one that a short scale rounds to the whole."""
    smoke = Params(scale="smoke", scales={"smoke": {"student_epochs": 1}})
    for params, budget in ((PAPER, 1.0), (smoke, 0.2)):
        plain, same = (built(Row("a", "kd"), params, budget=share) for share in (1.0, budget))
        assert (plain.digest, plain.cell) == (same.digest, same.cell)


def test_a_row_may_take_its_teacher_at_the_last_epoch():
    """Searches and students do, and their names say so; the teacher is the same run."""
    plain, last = (built(Row("a", "distpro", teacher_last=switch)) for switch in (False, True))

    assert {run.teacher_epoch for run in taught(plain)} == {"best"}
    assert {run.teacher_epoch for run in taught(last)} == {"last"}
    assert {run.phase for run in taught(last)} == {"search", "student"}
    assert last.cell == "wrn-40-2_wrn-16-2_distpro-teacher-last"
    assert taught(last)[0].cell == "wrn-40-2_wrn-16-2_distpro-teacher-last"
    assert {r.teacher.digest for r in taught(plain)} == {r.teacher.digest for r in taught(last)}
    assert not {r.digest for r in taught(plain)} & {r.digest for r in taught(last)}


def test_a_scale_s_switch_takes_every_teacher_at_the_last_epoch():
    """Digests change and names do not, as for every setting of params.yaml."""
    row = Row("a", "distpro")
    plain, switched = built(row), built(row, LAST)

    assert {run.teacher_epoch for run in taught(switched)} == {"last"}
    assert switched.cell == plain.cell and switched.digest != plain.digest
    own = built(Row("a", "distpro", teacher_last=True), LAST)
    assert (own.cell, own.digest) == (switched.cell, switched.digest)


def test_the_switch_is_in_the_digest_only_where_it_changes_the_teacher():
    """SBS's protocol reports the last epoch; a student alone has no teacher."""
    for row, table in ((Row("a", "kd"), sbs.TABLE1), (Row("a", "none"), distpro.TABLE1)):
        digests = {built(row, params, table).digest for params in (PAPER, LAST)}
        digests.add(built(replace(row, teacher_last=True), PAPER, table).digest)
        assert len(digests) == 1


def test_a_pruning_search_takes_the_same_epoch_as_its_students():
    """The network that it prunes is the teacher."""
    row = Row("a", "kd", pruned_by="sbs_kl", pruned_from="teacher", teacher_last=True)
    pairs = (Pair("wrn-40-2", "wrn-16-2"),)
    runs = taught(built(row, table=replace(distpro.TABLE1, pairs=pairs)))

    assert {(run.phase, run.teacher_epoch) for run in runs} == {
        ("search", "last"),
        ("student", "last"),
    }


def test_every_scale_takes_teachers_as_their_protocol_reports():
    """The switch is off as shipped."""
    assert {scale.teacher_epoch for scale in SCALES.values()} == {"reported"}
