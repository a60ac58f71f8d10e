"""A sum of losses in a real training."""

import json

from tiny_project import TEACHER

from kdbench.runs import steps
from kdbench.runs.assemble import Teacher


def test_parts_of_both_teacher_modes_and_with_a_memory_train_together(finished, monkeypatch):
    """OFD asks for the batch's statistics, CRD for the training labels; KD for neither."""
    own = {"id": "own", "pairs": ["resnet56:resnet20"], "methods": ["ofd+kd+crd", "kd+crd+ofd"]}
    finished.edit(exhibits=["own"], tables=[own], seeds=1)
    passes = []
    read = Teacher.read

    def spy(teacher, images, **options):
        features = read(teacher, images, **options)
        passes.append(list(features.by_mode))
        return features

    monkeypatch.setattr(steps.Teacher, "read", spy)
    name = "student/resnet56_resnet20_crd+kd+ofd_s0"
    finished.run(name)
    record = json.loads(finished.record_file(name).read_text())

    assert passes == [["eval", "batch"]] * 6
    assert {"crd.crd", "kd.kd", "ofd.ofd"} < set(record["curves"])
    assert record["spec"]["params"]["method"]["teacher_bn"] == "each"
    assert finished.record_file(TEACHER).exists()
