"""A student of several teachers in a real training."""

import json

import pytest

from kdbench.plan.graph import load_graph
from kdbench.runs.check import check

PAIR = "resnet56+resnet56-seed1:resnet20"
NAME = "student/resnet56+resnet56-seed1_resnet20_{}_s0"


def test_a_student_learns_from_two_teachers_and_its_record_names_both(finished):
    """By the mean of their probabilities, and by FitNets' terms of each; a second run is equal."""
    own = {"id": "own", "pairs": [PAIR], "methods": ["kd_mean", "fitnet"]}
    finished.edit(exhibits=["own"], tables=[own], pairs=[], seeds=1)
    kd, fitnet = NAME.format("kd_mean"), NAME.format("fitnet")
    assert check(load_graph(finished.root), lambda line: None) == []

    for name in (kd, fitnet):
        finished.run(name)
    records = [json.loads(finished.record_file(name).read_text()) for name in (kd, fitnet)]

    assert "kd" in records[0]["curves"]
    assert {"hint.teacher1", "hint.teacher2"} <= set(records[1]["curves"])
    for record in records:
        teachers = {record["spec"]["upstream"][role] for role in ("teacher", "teacher1")}
        assert len(teachers) == 2
        assert {"teacher", "teacher1"} <= set(record["provenance"]["inputs"])
    before = finished.files()
    finished.undo(fitnet)
    finished.run(fitnet)
    assert finished.files() == before


@pytest.mark.slow
def test_the_second_teacher_changes_the_student(finished):
    """With the first alone other weights come out."""
    both = {"id": "own", "pairs": [PAIR, "resnet56:resnet20"], "methods": ["kd_mean"]}
    finished.edit(exhibits=["own"], tables=[both], pairs=[], seeds=1)
    names = NAME.format("kd_mean"), "student/resnet56_resnet20_kd_mean_s0"
    for name in names:
        finished.run(name)

    weights = [(finished.folder(name) / "last.safetensors").read_bytes() for name in names]
    assert weights[0] != weights[1]
