"""Records do not hide what a run was made from: other artifacts, other code in the middle."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_project import STUDENT, TEACHER

from kdbench.data.stored.arrays import Prepared
from kdbench.distill.loss import DistillationLoss
from kdbench.engine import environment
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision
from kdbench.engine.train_state import TrainState
from kdbench.errors import TryAgain
from kdbench.runs import assemble
from kdbench.runs import execute as run
from kdbench.runs.steps import TrainStep
from kdbench.store.artifacts import seal
from kdbench.store.canonical import digest_of


def test_a_student_of_another_teacher_says_so(finished):
    """Its record has a note and the digest of the teacher that was made again with other bytes."""
    folder = finished.folder(TEACHER)
    weights = folder / "best.safetensors"
    state = load_file(weights)
    save_file({**state, "classifier.bias": state["classifier.bias"] * 1.001}, weights)
    manifest = seal(folder)
    finished.undo(STUDENT)

    finished.run(STUDENT)

    record = json.loads(finished.record_file(STUDENT).read_text())
    assert record["notes"] == [
        "the artifacts of teacher cifar100 resnet56 were made again and differ from its record's"
    ]
    assert record["provenance"]["inputs"]["teacher"] == digest_of(manifest)


def test_a_run_resumed_under_other_code_says_so(finished, monkeypatch):
    """Both processes are in the record, the first start stays, and a note says so."""
    finished.undo(STUDENT)
    with pytest.raises(TryAgain):
        finished.run(STUDENT, max_minutes=0)
    monkeypatch.setattr(run, "run_fingerprint", lambda spec: "0123456789ab")

    finished.run(STUDENT)

    record = json.loads(finished.record_file(STUDENT).read_text())
    origins = record["provenance"]["origins"]
    assert [origin["code"] == "0123456789ab" for origin in origins] == [False, True]
    assert record["provenance"]["started"] == origins[0]["started"]
    assert record["notes"] == [
        "resumed under other code, versions or another device; see provenance.origins"
    ]


def test_a_run_resumed_at_another_commit_of_the_same_code_is_no_other_run(finished, monkeypatch):
    """Both commits are in the record; nothing that computes differs, so no note says it."""
    finished.undo(STUDENT)
    with pytest.raises(TryAgain):
        finished.run(STUDENT, max_minutes=0)
    monkeypatch.setattr(environment, "_commit", lambda: ("5015005", True))

    finished.run(STUDENT)

    record = json.loads(finished.record_file(STUDENT).read_text())
    first, second = record["provenance"]["origins"]
    assert first["commit"] != second["commit"] == record["provenance"]["commit"] == "5015005"
    assert record["notes"] == []


def test_the_same_origin_is_named_once(tmp_path):
    """Another start of the same code on the same machine is no other origin."""
    first = TrainState(tmp_path, "run", {}, {"code": "a", "started": "1"})
    first.save()
    second = TrainState(tmp_path, "run", {}, {"code": "a", "started": "2"})

    second.load(torch.device("cpu"))

    assert second.origins == [{"code": "a", "started": "1"}]


class Own(DistillationLoss):
    """A loss of the student alone, as self-distillation has."""

    def __init__(self, student, teacher):
        super().__init__()
        self.asked = []

    def forward(self, student, teacher, batch, position):
        """Any term of the student's."""
        self.asked.append(teacher)
        return {"own": student.logits.square().mean()}


def test_a_loss_without_a_teacher_adds_its_term(finished_once):
    """It is called once per step, with nothing in the teacher's place."""
    data = Prepared.open(finished_once.folder("data/cifar100") / "prepared")
    precision = Precision("float32", False, torch.device("cpu"))
    run = finished_once.spec(STUDENT)
    recipe, student = run.recipe, assemble.make_network(run.student, data, 0, precision)
    loss, optimiser = Own(student, None), make_optimiser(recipe, student)
    loader = assemble.make_loader(data.training_only(), "train", recipe, 0, precision)
    step = TrainStep(student, None, loss, 1.0, optimiser, recipe, loader.steps, precision)

    terms = step(loader.batch(0, 0), TrainingPosition(0, 1, 0, 1))

    assert loss.asked == [None]
    assert set(terms) == {"task", "own"}
