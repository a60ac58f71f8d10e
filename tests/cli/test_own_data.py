"""From a folder of pictures to a trained network that teaches: what docs/own-data.md promises."""

import tomllib

import numpy as np
import pytest
from PIL import Image
from tiny_project import TinyProject
from typer.testing import CliRunner

from kdbench.cli import app
from kdbench.cli.data_set import _lite
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


@pytest.mark.parametrize(("lite", "images"), [({}, 29), ({"train_share": 0.2}, 6)])
def test_a_small_data_set_is_trained_whole_and_for_long_and_short_epochs_are_said(
    lite, images, photos, tmp_path, monkeypatch
):
    """A tenth of 29 images would be 3; of few steps two commands tell."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    called("data", "new", "flowers", "--source", photos, "--size", 16, "--folder", own)
    table = {"id": "t", "dataset": "flowers", "pairs": ["resnet56:resnet20"], "methods": ["none"]}
    TinyProject(
        tmp_path,
        scale="lite",
        plugins=[str(own)],
        exhibits=["own"],
        pairs=[],
        methods_only=[],
        scales={"lite": lite},
        tables=[table],
    )
    checked, estimated = called("check"), called("estimate", "--tflops", 1, "--gpus", 1)
    line = f"flowers, student: {images} training images in batches of 128: steps per epoch 1,"

    assert line in checked and line in estimated
    assert ("sets train_share, batch" in checked) == bool(lite)


def test_class_folders_alone_are_told_which_option_they_need(photos, tmp_path, monkeypatch):
    """One command more, and they are split."""
    monkeypatch.chdir(tmp_path)
    words = ["data", "new", "flowers", "--source", str(photos / "train"), "--size", "16"]
    refused = CliRunner().invoke(app, words)

    assert refused.exit_code and "give --test-share 0.2" in str(refused.exception)
    assert "flowers: 6 test, 23 train images" in called(*words, "--test-share", 0.2)


def test_what_may_mislead_in_a_new_data_set_is_said(photos, tmp_path, monkeypatch):
    """As `data prepare` says it: test images that are training images, labels unlike names."""
    monkeypatch.chdir(tmp_path)
    (photos / "test/rose/0.jpg").write_bytes((photos / "train/rose/0.jpg").read_bytes())
    for folder in photos.glob("*/*"):
        folder.rename(folder.with_name({"rose": "0", "iris": "2", "aster": "10"}[folder.name]))
    own = tmp_path / "own"
    told = called("data", "new", "flowers", "--source", photos, "--size", 16, "--folder", own)

    assert "1 of 14 test images" in told
    assert 'class "10" is label 1' in told


@pytest.mark.parametrize(
    ("images", "share", "teacher", "student"),
    [(96, 1.0, 240, 240), (10_000, 1.0, 26, 26), (50_000, 0.2, 26, 26), (10**6, 0.1, 20, 8)],
)
def test_scale_lite_is_fitted_to_the_number_of_images(images, share, teacher, student):
    """A small set is taken whole and longer; a large one as scale lite takes any."""
    lite = tomllib.loads("\n".join(_lite(images)))["lite"]
    epochs = lite["teacher_epochs"], lite["student_epochs"]
    assert (lite["train_share"], *epochs) == (share, teacher, student)
