"""From a folder of pictures to a trained network that teaches: what docs/own-data.md promises."""

import numpy as np
import pytest
from PIL import Image
from tiny_project import TinyProject
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.store.record import read_record

CLASSES = {"rose": 9, "iris": 14, "aster": 6}


@pytest.fixture(name="photos")
def unequal_classes(tmp_path):
    """Pictures of several sizes, each class brighter in a channel of its own."""
    draw = np.random.default_rng(0)
    for split, share in (("train", 1), ("test", 2)):
        for channel, (name, count) in enumerate(CLASSES.items()):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count // share):
                height, width = draw.integers(20, 40, 2)
                pixels = draw.integers(0, 120, (height, width, 3)).astype(np.uint8)
                pixels[..., channel] += 120
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return tmp_path / "photos"


def called(*words):
    """What a command prints."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.output


def test_a_folder_of_pictures_becomes_a_student_and_its_teacher_one_for_others(
    photos, tmp_path, monkeypatch, process_as_before
):
    """Prepared, trained, exported, imported: the imported teacher measures what the export says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDBENCH_DEVICE", "cpu")
    told = called(
        "data", "new", "flowers", "--source", photos, "--size", 16, "--folder", tmp_path / "own"
    )
    assert "flowers: 14 test, 29 train images, 3 classes" in told
    table = {"id": "t", "dataset": "flowers", "pairs": ["resnet56:resnet20"]}
    short = {"teacher_epochs": 1, "student_epochs": 1, "steps_per_epoch": 2, "batch": 8}
    project = TinyProject(
        tmp_path,
        scale="lite",
        seeds=1,
        plugins=[str(tmp_path / "own")],
        datasets=["flowers"],
        exhibits=["own"],
        pairs=[],
        scales={"lite": {**short, "train_share": 1.0, "precision": "float32"}},
        tables=[{**table, "methods": ["teacher", "none", "kd"]}],
    )
    project.run("student/resnet56_resnet20_kd_s0")
    called("export", "teacher/resnet56", "--out", tmp_path / "exported")
    output = called("teacher", "import", tmp_path / "exported", "--dataset", "flowers")
    key, _, checksum = output.strip().splitlines()[-1].partition("{")[2].rstrip("}").partition(": ")
    project.edit(teachers={key: checksum})
    project.run("student/resnet56_resnet20_kd_s0")

    assert key == "flowers/resnet56"
    record = read_record(project.record_file("teacher/resnet56"))
    assert record["imported"]["top1"] == pytest.approx(record["imported"]["claim"], abs=0.1)
    assert len(list(tmp_path.glob("results/lite/records/student/flowers/*.json"))) == 2
