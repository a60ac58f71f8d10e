"""A digest names what may change a run's numbers, and nothing else."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from typed_runs import DATA, method_part, network_part, search_run, student_run, teacher_run

from kdbench.exhibits.protocols import CRD, REVIEW
from kdbench.store.canonical import canonical, digest_of

RUN = student_run("kd", "resnet56", "resnet20")


def test_the_digest_of_a_hand_made_run_is_the_golden_one():
    """Another value would orphan every record that exists: change it only on purpose."""
    data = replace(DATA, revisions={"cifar100": 1})

    assert data.digest == "dd043f520371"
    assert RUN.digest == "7341eec9bd5b"


def test_equal_values_in_another_order_have_one_digest():
    """The order of keys carries nothing."""
    parameters = RUN.method.parameters
    turned = {key: parameters[key] for key in reversed(parameters)}
    method = replace(RUN.method, parameters=turned)

    assert list(turned) != list(parameters)
    assert replace(RUN, method=method).digest == RUN.digest
    assert canonical({"b": 1, "a": {"d": 1, "c": 2}}) == '{"a":{"c":2,"d":1},"b":1}'


def test_digests_are_the_same_in_another_process():
    """Hash randomisation reaches no digest."""
    program = (
        "from kdbench.plan.graph import make_graph; from kdbench.plan.params import Params;"
        "print(*make_graph(Params(scale='paper')).runs)"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert printed[0] == printed[1]
    assert len(printed[0].split()) > 200


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, recipe=replace(CRD, lr=0.2)),
        replace(RUN, seed=1),
        replace(RUN, student=network_part("resnet32")),
        replace(RUN, student=replace(RUN.student, pruned_by="sbs_kl")),
        replace(RUN, method=method_part("kd", temperature=2.0)),
        replace(RUN, method=replace(RUN.method, teacher_mode="batch")),
        replace(RUN, runtime=replace(RUN.runtime, threads=2)),
        replace(RUN, tuning_holdout=0.1),
        replace(RUN, revisions={"engine": 2}),
        replace(RUN, data=replace(DATA, train_share=0.6)),
        replace(RUN, data=replace(DATA, revisions={"cifar100": 2})),
        replace(RUN, teachers=()),
        replace(RUN, teachers=(*RUN.teachers, teacher_run("wrn-40-2"))),
        replace(RUN, teachers=(teacher_run("resnet56", recipe=REVIEW),)),
        replace(RUN, structure=search_run("sbs_kl", "resnet56", "resnet56")),
        replace(RUN, dataset="digits"),
        replace(RUN, task="segmentation"),
        teacher_run("resnet56"),
    ],
)
def test_whatever_changes_numbers_changes_the_digest(other):
    """A parameter, a part, a revision, a task, a teacher, or something upstream."""
    assert other.digest != RUN.digest


def test_names_and_places_do_not_change_the_digest():
    """Neither the scale's name, nor the cell's, nor a component's module, class and label."""
    moved = replace(RUN.method, module="/here/own.py", class_name="Better")
    relabelled = replace(RUN.student, label="Our own", module="/here/own.py")

    assert replace(RUN, scale="paper", cell="other").digest == RUN.digest
    assert replace(RUN, method=moved, student=relabelled).digest == RUN.digest


def test_the_default_task_is_in_no_digest_and_in_no_record():
    """Records of classification keep their names beside those of tasks to come."""
    assert RUN.task == "classification"
    assert "task" not in RUN.as_dict()["params"]
    assert replace(RUN, task="depth").as_dict()["params"]["task"] == "depth"


def test_one_teacher_has_the_bare_role_and_further_ones_are_numbered():
    """A run of one teacher is written as it was before there could be several."""
    several = replace(RUN, teachers=(*RUN.teachers, teacher_run("wrn-40-2")))

    assert [role for role in RUN.upstream if "teacher" in role] == ["teacher"]
    assert [role for role in several.upstream if "teacher" in role] == ["teacher", "teacher1"]
    assert several.as_dict()["params"]["teacher1"]["name"] == "wrn-40-2"


def test_numbers_that_json_cannot_hold_are_refused():
    """NaN would be text that no other program reads."""
    with pytest.raises(ValueError, match="JSON"):
        digest_of({"lr": float("nan")})


def test_a_record_says_the_whole_specification(paper):
    """What `as_dict` gives survives a trip through JSON, and names upstream runs by digest."""
    for spec in paper.runs.values():
        fields = spec.as_dict()
        assert json.loads(json.dumps(fields)) == fields
        assert fields["digest"] == spec.digest
        assert fields["upstream"] == {role: run.digest for role, run in spec.upstream.items()}


def test_equal_values_of_another_spelling_share_their_runs(planned):
    """`temperature: 4` in params.yaml is the default 4.0, and `8` is `8.0`."""
    plain, same = planned(), planned(methods={"kd": {"temperature": 4}})
    whole, decimal = (planned(methods={"kd": {"temperature": t}}) for t in (8, 8.0))
    share, one = (planned(scale="lite", scales={"lite": {"train_share": s}}) for s in (1, 1.0))

    assert plain.runs.keys() == same.runs.keys()
    assert whole.runs.keys() == decimal.runs.keys() != plain.runs.keys()
    assert share.runs.keys() == one.runs.keys()


def test_upstream_runs_come_first_and_once(paper):
    """In the order of `runs`, nothing is used before it is there."""
    seen = set()
    for digest, spec in paper.runs.items():
        assert digest == spec.digest
        assert {u.digest for u in spec.upstream.values()} <= seen
        seen.add(digest)


def test_pruned_students_alone_have_the_revision_of_pruning(planned):
    """A change of how they read their channels makes them new runs, and no other student."""
    students = [
        spec
        for spec in planned(exhibits=["sbs/table1", "distpro/table1"], pairs=[]).runs.values()
        if spec.phase == "student"
    ]
    assert {bool(spec.student.pruned_by) for spec in students} == {True, False}
    for spec in students:
        assert ("carving" in spec.revisions) == bool(spec.student.pruned_by)
