"""A digest names what may change a run's numbers, and nothing else."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from kdbench.store.spec import RunSpec, canonical, digest_of

DATA = RunSpec(
    scale="smoke",
    phase="data",
    dataset="cifar100",
    cell="cifar100",
    params={"train_share": 0.5},
    revisions={"cifar100": 1},
)
RUN = RunSpec(
    scale="smoke",
    phase="student",
    dataset="cifar100",
    cell="resnet20_none_s0",
    params={"student": {"name": "resnet20", "module": "m"}, "seed": 0, "lr": 0.1},
    revisions={"engine": 1, "none": 1},
    upstream={"data": DATA},
)


def test_the_digest_of_a_hand_made_run_is_the_golden_one():
    """Another value would orphan every record that exists: change it only on purpose."""
    assert DATA.digest == "dd043f520371"
    assert RUN.digest == "fe9414fedce2"


def test_equal_values_in_another_order_have_one_digest():
    """The order of keys carries nothing."""
    turned = {key: RUN.params[key] for key in reversed(RUN.params)}

    assert replace(RUN, params=turned).digest == RUN.digest
    assert canonical({"b": 1, "a": {"d": 1, "c": 2}}) == '{"a":{"c":2,"d":1},"b":1}'


def test_digests_are_the_same_in_another_process():
    """Hash randomisation reaches no digest."""
    program = (
        "from kdbench.plan.graph import make_graph; from kdbench.plan.params import Params;"
        "print(*make_graph(Params(scale='paper')).runs)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert said[0] == said[1]
    assert len(said[0].split()) > 200


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, params={**RUN.params, "lr": 0.2}),
        replace(RUN, params={**RUN.params, "seed": 1}),
        replace(RUN, params={**RUN.params, "student": {"name": "resnet32", "module": "m"}}),
        replace(RUN, revisions={"engine": 2, "none": 1}),
        replace(RUN, upstream={"data": replace(DATA, params={"train_share": 0.6})}),
        replace(RUN, upstream={"data": replace(DATA, revisions={"cifar100": 2})}),
        replace(RUN, upstream={}),
        replace(RUN, phase="teacher"),
        replace(RUN, dataset="digits"),
    ],
)
def test_whatever_changes_numbers_changes_the_digest(other):
    """A parameter, a revision, something upstream."""
    assert other.digest != RUN.digest


def test_names_and_places_do_not_change_the_digest():
    """Neither the scale's name, nor the cell's, nor a component's module, class and label."""
    own = {
        "name": "own",
        "module": "/here/own.py",
        "class": "Own",
        "label": "Ours",
        "parameters": {},
    }
    run = replace(RUN, params={"method": own})
    moved = {**own, "module": "kdbench.distill.own", "class": "Better", "label": "Our own"}

    assert replace(RUN, scale="paper", cell="other").digest == RUN.digest
    assert replace(RUN, params={"method": moved}).digest == run.digest
    assert replace(RUN, params={"method": {**own, "name": "other"}}).digest != run.digest
    assert replace(RUN, params={"method": {**own, "parameters": {"w": 1}}}).digest != run.digest


def test_numbers_that_json_cannot_hold_are_refused():
    """NaN would be text that no other program reads."""
    with pytest.raises(ValueError, match="JSON"):
        digest_of({"lr": float("nan")})


def test_a_run_survives_the_trip_through_json(paper):
    """Nested: the same digest, the same upstream; flat: upstream by digest."""
    for spec in paper.runs.values():
        text = json.dumps(spec.as_dict(nested=True))
        assert RunSpec.from_dict(json.loads(text)).digest == spec.digest
    back = RunSpec.from_dict(json.loads(json.dumps(RUN.as_dict(nested=True))))

    assert back == RUN
    assert RUN.as_dict()["upstream"] == {"data": DATA.digest}


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


def test_found_students_alone_have_the_revision_of_carving(planned):
    """A change of how they read their channels makes them new, and nobody else."""
    students = [
        spec
        for spec in planned(exhibits=["sbs/table1", "distpro/table1"], pairs=[]).runs.values()
        if spec.phase == "student"
    ]
    found = {"found_by" in spec.params["student"] for spec in students}

    assert found == {True, False}
    for spec in students:
        assert ("carving" in spec.revisions) == ("found_by" in spec.params["student"])
