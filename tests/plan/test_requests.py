"""Rows and columns that ask for more than a method on a pair."""

from dataclasses import replace

import pytest

from kdbench.exhibits.keys import SearchKey
from kdbench.exhibits.protocols import DISTPRO_SEARCH, REVIEW
from kdbench.exhibits.requests import Pair, SearchRequest, StudentRequest
from kdbench.exhibits.tables import Origin, Row
from kdbench.papers import catalogue, distpro, sbs
from kdbench.plan.build import Builder
from kdbench.plan.components import find_components
from kdbench.plan.params import Params
from kdbench.store.spec import SPLIT_REVISION

ALL = ["cifar10", "cifar100", "cinic10"]
LEAD = Pair("wrn-40-2", "wrn-16-2")


def built(row, params=None, table=distpro.TABLE1):
    """The evaluation of a row in a table's first column."""
    builder = Builder(params or Params(scale="paper"), find_components())
    return builder.build(table.request(row, table.all_columns[0]))


def students(spec):
    """Its student runs."""
    return [run for role, run in spec.upstream.items() if role.startswith("run")]


def test_a_parameter_of_a_row_is_in_the_runs_and_their_names():
    """Parameters, cell and digest differ from those of the plain row."""
    plain, own = built(Row("a", "kd")), built(Row("b", "kd", parameters=(("temperature", 8.0),)))

    assert {r.method.parameters["temperature"] for r in students(own)} == {8.0}
    assert own.cell == "wrn-40-2_wrn-16-2_kd-temperature-8.0"
    assert own.digest != plain.digest


def test_the_order_of_parameters_changes_no_run():
    """Digest and name are the same."""
    pairs = (("temperature", 8.0), ("weight", 0.5))
    one, other = (built(Row("a", "kd", parameters=p)) for p in (pairs, pairs[::-1]))

    assert (one.digest, one.cell) == (other.digest, other.cell)


def test_a_parameter_with_its_default_value_makes_the_same_run():
    """Digest and name are those of the row without it."""
    plain, same = built(Row("a", "kd")), built(Row("b", "kd", parameters=(("temperature", 4.0),)))

    assert (plain.digest, plain.cell) == (same.digest, same.cell)


def test_a_row_s_own_parameter_beats_params_yaml():
    """Other rows follow params.yaml; the name holds what differs from the declared values."""
    params = Params(scale="paper", methods={"kd": {"temperature": 8.0}})
    plain, own = (
        built(Row("a", "kd", parameters=p), params) for p in ((), (("temperature", 2.0),))
    )

    assert students(plain)[0].method.parameters["temperature"] == 8.0
    assert students(own)[0].method.parameters["temperature"] == 2.0
    assert plain.cell.endswith("_kd") and own.cell.endswith("_kd-temperature-2.0")


def test_a_tuple_in_a_row_is_a_list_in_the_run():
    """Of the method and of its search, as in the declarations."""
    row = Row("a", "distpro", parameters=distpro.TEN, search_parameters=distpro.TEN)
    (student, *_) = students(built(row))

    for entry in (student.method, student.schemes[0].search):
        assert entry.parameters["transforms"] == ["complex"]
        assert entry.parameters["stem"] is True
    assert "transforms-complex" in student.schemes[0].cell


def test_a_scheme_may_come_from_another_pair_or_data_set(planned):
    """The search is that of the other pair or data set, the teacher stays the row's own."""
    row = Row("a", "distpro", origin=Origin(pair=Pair("resnet56", "resnet20")))
    (student, *_) = students(built(row))
    search = student.schemes[0]

    assert search.cell == "resnet56_resnet20_distpro"
    assert student.cell == "wrn-40-2_wrn-16-2_distpro-from-resnet56-resnet20_s0"
    assert student.teacher.cell == "wrn-40-2"
    graph = planned(scale="paper", exhibits=["dfa"], datasets=ALL)
    runs = [r for r in graph.runs.values() if "-from-cifar100" in r.cell and r.phase == "student"]
    assert runs and {run.dataset for run in runs} == {"cinic10"}
    assert {run.schemes[0].dataset for run in runs} == {"cifar100"}
    assert all(run.schemes[0].student.name == run.student.name for run in runs)


def test_a_pruned_student_is_built_from_its_search():
    """The search starts from the teacher; the evaluation reads the structure as well."""
    column = sbs.TABLE1.columns[1]
    row = next(row for row in sbs.TABLE1.rows if row.pruned_by == "sbs_kl")
    builder = Builder(Params(scale="paper"), find_components())
    evaluation = builder.build(sbs.TABLE1.request(row, column))
    (student, *_) = students(evaluation)
    search = student.structure

    assert search.phase == "search" and search.search.start == "teacher"
    assert search.student == search.teacher.network
    assert student.student.pruned_by == "sbs_kl"
    assert student.student.name == "densenet-bc-100-12"
    assert evaluation.structure is search
    assert student.method.parameters["task_weight"] == 0.1


def test_a_pruned_student_and_a_whole_one_are_different_runs():
    """With one network and one method, digest and name differ."""
    table = replace(sbs.TABLE1, rows=(Row("a", pruned_by="sbs_kl"), Row("b")))
    builder = Builder(Params(scale="paper"), find_components())
    pruned, whole = (builder.build(table.request(row, table.columns[0])) for row in table.rows)

    assert pruned.cell == "densenet-bc-100-12_sbs_kl_none"
    assert whole.cell == "densenet-bc-100-12_none"
    assert pruned.digest != whole.digest


def test_joined_methods_have_all_parts_and_the_searches_these_need():
    """The place of the parts' code is not in the digest."""
    request = StudentRequest(
        dataset="cifar100",
        pair=LEAD,
        method="dfa+distpro+kd",
        recipe=REVIEW,
        seeds=1,
        search_recipe=DISTPRO_SEARCH,
    )
    components = find_components()
    (student,) = students(Builder(Params(scale="paper"), components).build(request))

    assert [part.name for part in student.method.parts] == ["dfa", "distpro", "kd"]
    assert student.schemes[0].cell.endswith("_dfa")
    assert student.schemes[1].cell.endswith("_distpro")
    assert "search2" not in student.upstream
    parts = tuple(replace(part, module="elsewhere") for part in student.method.parts)
    method = replace(student.method, parts=parts)
    assert replace(student, method=method).digest == student.digest


def test_runs_that_hold_images_out_alone_have_the_revision_of_the_split():
    """So that another way of splitting leaves teachers and untuned students as they are."""
    table = next(e for e in catalogue() if e.id == "dfa/tuning")
    builder = Builder(Params(scale="paper"), find_components())
    tuned = builder.build(table.request(table.rows[0], table.all_columns[0])).runs[0]
    untuned = joined("dfa+kd")

    assert tuned.revisions["split"] == untuned.schemes[0].revisions["split"] == SPLIT_REVISION
    assert tuned.schemes[0].revisions["split"] == SPLIT_REVISION
    for run in (untuned, *tuned.teachers, tuned.data):
        assert "split" not in run.revisions


def joined(method):
    """The one student of a sum of losses on the leading pair."""
    ask = StudentRequest(
        dataset="cifar100",
        pair=LEAD,
        method=method,
        recipe=REVIEW,
        seeds=1,
        search_recipe=DISTPRO_SEARCH,
    )
    (student,) = students(Builder(Params(scale="paper"), find_components()).build(ask))
    return student


@pytest.mark.parametrize(
    ("method", "other", "mode", "weight"),
    [("kd+ofd", "ofd+kd", "each", 1.0), ("kd+dfa", "dfa+kd", "eval", 1.0)],
)
def test_the_order_of_joined_methods_changes_no_run(method, other, mode, weight):
    """Each part keeps its teacher mode; the largest weight of the cross-entropy counts."""
    one, same = joined(method), joined(other)

    assert (one.digest, one.cell) == (same.digest, same.cell)
    assert one.method.teacher_mode == mode
    alone = {part.name: part.teacher_mode for part in one.method.parts}
    assert alone == {part: joined(part).method.teacher_mode for part in method.split("+")}
    assert one.method.parameters == {"task_weight": weight}


def test_a_search_can_be_requested_without_a_student():
    """Its name holds the parameter that the request sets."""
    request = SearchRequest(
        dataset="cifar100",
        pair=LEAD,
        search="distpro",
        recipe=REVIEW,
        search_recipe=DISTPRO_SEARCH,
        parameters=(("gradient", "exact"),),
    )
    spec = Builder(Params(), find_components()).build(request)

    assert (spec.phase, spec.cell) == ("search", "wrn-40-2_wrn-16-2_distpro-gradient-exact")


@pytest.mark.parametrize("left_out", ALL)
def test_no_run_is_on_a_data_set_that_is_left_out(planned, left_out):
    """The plan has runs on all other data sets."""
    remaining = [name for name in ALL if name != left_out]
    graph = planned(scale="paper", exhibits=["all"], datasets=remaining)

    assert {spec.dataset for spec in graph.runs.values()} == set(remaining)


OWN = {"id": "mine", "pairs": ["wrn-40-2:wrn-16-2"], "methods": ["kd", "dfa+kd"]}


def test_a_custom_table_is_planned(planned):
    """With any method, pair and protocol, with pruned students and with schemes from elsewhere."""
    graph = planned(
        exhibits=["own"], tables=[{**OWN, "protocol": "crd", "seeds": 2}], scale="paper"
    )
    cells = graph.cells["own/mine"]

    assert [cell.evaluation.cell for cell in cells] == [
        "wrn-40-2_wrn-16-2_kd",
        "wrn-40-2_wrn-16-2_dfa+kd",
    ]
    runs = [run for cell in cells for run in students(cell.evaluation)]
    assert {run.recipe.name for run in runs} == {"crd"} and len(runs) == 4
    pruned = planned(
        exhibits=["all"],
        tables=[
            {
                **OWN,
                "pruned_by": "sbs_kl",
                "pruned_from": "wrn-40-2",
                "searched_on": {"pair": "wrn-40-2:wrn-40-1"},
            }
        ],
    )
    for cell in pruned.cells["own/mine"]:
        assert cell.evaluation.structure.cell == "wrn-40-2_wrn-40-2_sbs_kl"
    (run, *_) = students(pruned.cells["own/mine"][1].evaluation)
    assert run.schemes[0].cell == "wrn-40-2_wrn-40-1_dfa"


def name_of(spec):
    """The stem of a record's file."""
    return f"{spec.cell}.{spec.digest}"


def test_a_run_s_name_does_not_depend_on_the_other_exhibits(planned):
    """Every run of the whole plan is called the same when its exhibit is planned alone."""
    every = planned(scale="paper", exhibits=["all"], datasets=ALL)
    names = {digest: name_of(spec) for digest, spec in every.runs.items()}
    for exhibit in every.exhibits:
        alone = planned(scale="paper", exhibits=[exhibit.id], datasets=ALL)
        assert all(names[digest] == name_of(spec) for digest, spec in alone.runs.items())


def test_a_search_with_a_base_runs_after_that_search_as_declared():
    """The base is the run that other exhibits request, whatever the search's own parameters."""
    builder = Builder(Params(scale="paper", datasets=ALL), find_components())
    shares = {
        key.value: builder.build(run) for key, run in sbs.FIGURE4.requests if not key.students
    }
    by_kl = builder.build(dict(sbs.SEARCHES.requests)[SearchKey("CIFAR-10", "KL, weighted")])

    assert {run.upstream["base"].digest for run in shares.values()} == {by_kl.digest}
    assert "base" not in by_kl.upstream
    assert [run.search.parameters["kl0_share"] for run in shares.values()] == [*shares]
    assert len({run.digest for run in shares.values()}) == len(shares) == 5
