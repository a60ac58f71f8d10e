"""A data set that is prepared again from other images is not mixed with what saw the older ones."""

import numpy as np
import pytest
from tiny_project import TinyProject

from kdbench.data.stored import arrays
from kdbench.errors import DamagedData

SHORT = {"student_epochs": 1, "steps_per_epoch": 2, "batch": 8, "train_share": 1.0}
STUDENT, EVALUATION = "student/resnet20_none_s0", "evaluation/resnet20_none"


def prepare(folder, seed):
    """A CIFAR-100 of 30 random images; its fingerprint."""
    images = np.random.RandomState(seed).randint(0, 256, (30, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(30) % 3
    splits = {"train": (images[:18], labels[:18]), "test": (images[18:], labels[18:])}
    return arrays.write(folder / "data/cifar100", "cifar100", splits, ["a", "b", "c"])


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_runs_stop_where_the_images_are_others(tmp_path, share):
    """One line names both and both ways on; with the older images the run goes on."""
    first = prepare(tmp_path, 0)
    scales = {"lite": {**SHORT, "train_share": share}}
    project = TinyProject(tmp_path, scale="lite", seeds=1, scales=scales)
    project.run(STUDENT)
    second = prepare(tmp_path, 1)
    with pytest.raises(DamagedData) as caught:
        project.run(EVALUATION)
    line = str(caught.value)
    assert first[:12] in line and second[:12] in line and "\n" not in line
    assert "prepare those again, or" in line and "delete results/lite/*/*/cifar100" in line

    prepare(tmp_path, 0)
    project.run(EVALUATION)
