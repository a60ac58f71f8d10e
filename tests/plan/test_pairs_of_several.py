"""Pairs with several teachers: how they are written, and which runs they become."""

import pytest
from test_custom_tables import graph_of

from kdbench.errors import UserError
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.report.readings.cells import labels

TWO = "resnet56+resnet56-seed1:resnet20"
KEY = "cifar100/resnet56"


def student_of(graph):
    """The student run of a plan's only cell."""
    (cell,) = graph.cells["own/mine"]
    return cell.evaluation.runs[0]


def test_teachers_joined_by_plus_are_upstream_runs_with_numbered_roles():
    """One network from two seeds, and another network; the student's name has all of them."""
    pair = "resnet56+resnet56-seed1+wrn-40-2:resnet20"
    run = student_of(graph_of(pairs=[pair], methods=["kd_mean"]))

    teachers = [(t.network.name, t.seed) for t in run.teachers]
    assert teachers == [("resnet56", 0), ("resnet56", 1), ("wrn-40-2", 0)]
    assert [role for role in run.upstream if "teacher" in role] == [
        "teacher",
        "teacher1",
        "teacher2",
    ]
    assert run.cell == "resnet56+resnet56-seed1+wrn-40-2_resnet20_kd_mean_s0"
    assert run.revisions["teachers"] == 1


def test_a_student_of_one_teacher_is_the_run_that_it_was():
    """Its digest has no revision of several teachers, and its teacher is the same run."""
    alone = student_of(graph_of(methods=["kd"]))
    both = student_of(graph_of(pairs=[TWO], methods=["kd"]))

    assert "teachers" not in alone.revisions
    assert alone.teacher.digest == both.teacher.digest
    assert alone.method == both.method and alone.digest != both.digest


def test_a_table_prints_all_teachers_of_a_column():
    """With the seeds of those that are not the first."""
    graph = graph_of(pairs=[TWO], methods=["kd"])
    (column,) = graph.tables()[0].all_columns
    assert labels(graph, column.pair) == ("ResNet56 + ResNet56 (seed 1)", "ResNet20")


def test_an_imported_teacher_takes_the_place_of_the_first_seed_alone():
    """A teacher of another seed is trained all the same."""
    table = {"id": "mine", "pairs": [TWO], "methods": ["kd"]}
    params = Params(scale="paper", exhibits=["own"], tables=[table], teachers={KEY: "0" * 64})
    first, second = student_of(make_graph(params)).teachers
    assert first.checkpoint == "0" * 64 and second.seed == 1


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"pairs": ["resnet56+resnet56:resnet20"]}, "expected each teacher once"),
        ({"pairs": ["resnet56+resnet5:resnet20"]}, "no network is called 'resnet5'"),
        ({"pairs": [TWO], "methods": ["dfa"]}, "expected one teacher for dfa, which searches"),
        ({"pairs": [TWO], "methods": ["kd+dfa"]}, "one teacher for kd+dfa, which searches"),
    ],
)
def test_what_cannot_have_several_teachers_is_refused(own, message):
    """The error is one line that names the pair."""
    with pytest.raises(UserError) as caught:
        graph_of(**own)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("scale", ["smoke", "lite", "paper"])
def test_the_exhibit_sets_dfa_beside_two_and_three_teachers(scale):
    """Of one network and protocol; at least three students per cell; cost and table share runs."""
    names = ["ours/multi-teacher", "ours/multi-teacher-cost"]
    graph = make_graph(Params(scale=scale, exhibits=names))
    runs = {cell.row.label: cell.evaluation for cell in graph.cells[names[0]]}
    several = {label: len(getattr(run.first, "teachers", ())) for label, run in runs.items()}

    assert sorted(several.values()) == [0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert several["DFA, 1 teacher"] == 1 and runs["DFA, 1 teacher"].first.schemes[0]
    teachers = [t for run in runs.values() for t in getattr(run.first, "teachers", ())]
    assert {(t.network.name, t.protocol) for t in teachers} == {("wrn-28-4", "dfa cifar")}
    assert all(len(run.runs) >= 3 for label, run in runs.items() if label != "teacher")
    drawn = graph.drawn[names[1]]
    assert {key: run.digest for key, run in drawn.items()} == {
        label: run.digest for label, run in runs.items() if label != "teacher"
    }
