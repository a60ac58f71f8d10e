"""The model card and the manifest of an export."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest
import yaml
from safetensors.torch import load_file, save_file
from tiny_project import STUDENT, TEACHER

from kdbench.errors import BadValue, DamagedData
from kdbench.models.checkpoints import read_checkpoint
from kdbench.plan.components import find_components
from kdbench.runs.export import export_run, load, read_about
from kdbench.runs.model_card import model_card
from kdbench.store.record import read_record


@pytest.fixture
def exported(finished, tmp_path):
    """Exports a run of a finished project; returns the folder."""

    def export(name):
        folder = tmp_path / "export"
        export_run(finished.spec(name), finished.paths, folder)
        return folder

    return export


def test_the_card_says_what_a_student_is_and_how_it_was_trained(finished, exported):
    """Accuracy as recorded, teacher, method, protocol, constants, commit, sources."""
    folder = exported(STUDENT)
    card, run = (folder / "README.md").read_text(encoding="utf-8"), finished.spec(STUDENT)
    record = read_record(finished.record_file(STUDENT))
    about = read_about(folder)

    assert "# ResNet20 on cifar100" in card
    assert f"{record['metrics']['best']['top1']:.2f} % top-1 on the test set" in card
    assert f"ResNet56 (run `{run.teacher.digest}`)" in card and "| method | DistPro" in card
    assert f"mean `{list(about.mean)}`" in card and f'| digest | `"{run.digest}"` |' in card
    assert "DistPro: Searching a Fast Knowledge Distillation" in card
    assert "kdbench.load" in card and "kdbench teacher import" in card and "| accuracy |" in card
    assert about.task == "classification" and about.scores["top1"] == about.top1


def test_the_card_of_a_stand_in_s_network_says_so_first(exported):
    """Nobody may take digits for CIFAR-100; the hub's key names the digits too."""
    card = (exported(TEACHER) / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])

    assert front["datasets"] == ["digits"] and front["library_name"] == "kdbench"
    assert "> **Trained on digits, which stand in for cifar100" in card


def test_the_card_names_the_folder_of_a_plug_in_s_network_and_what_an_onnx_file_takes(
    finished, exported
):
    """Without the folder `load` knows no such network."""
    about, run = read_about(exported(TEACHER)), finished.spec(TEACHER)
    record, known = read_record(finished.record_file(TEACHER)), find_components()
    own = replace(run, network=replace(run.network, module="/some/networks/micro.py"))
    card, plain = (model_card(about, one, record, known, onnx=one is own) for one in (own, run))

    assert 'kdbench.load(".", plugins=["networks"])' in card and "`micro.py`" in card
    assert (
        "input `images`, float32 (batch, 3, " in card and f"(batch, {len(about.classes)})" in card
    )
    assert 'kdbench.load(".")' in plain and "plugins" not in plain and "onnx" not in plain


def test_a_page_that_is_no_card_is_not_overwritten(finished, tmp_path):
    """The export is refused before anything is written; a card of before is replaced."""
    page = tmp_path / "README.md"
    page.write_text("# My project")
    with pytest.raises(BadValue, match=r"expected no README.md that is not a model card"):
        export_run(finished.spec(TEACHER), finished.paths, tmp_path)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["README.md"]

    page.unlink()
    for _ in range(2):
        export_run(finished.spec(TEACHER), finished.paths, tmp_path)
    assert "library_name" in page.read_text(encoding="utf-8")


def test_the_manifest_says_what_an_import_must_know(finished, exported):
    """Data set, network, claim, test images, and the SHA-256 of the weights, which are plain."""
    folder = exported(TEACHER)
    about, file = read_about(folder), folder / "model.safetensors"

    assert (about.dataset, about.network, about.stand_in) == ("cifar100", "resnet56", "digits")
    assert about.top1 == read_record(finished.record_file(TEACHER))["metrics"]["best"]["top1"]
    assert about.test_images > 0
    assert dict(about.files) == {file.name: sha256(file.read_bytes()).hexdigest()}
    assert read_checkpoint(file).nests[0].tensors.keys() == load_file(file).keys()


def test_changed_weights_are_refused(exported):
    """By their SHA-256, though they fit the network."""
    folder = exported(TEACHER)
    weights = {key: tensor + 1 for key, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    for reader in (load, read_about):
        with pytest.raises(
            DamagedData, match=r"other bytes, expected those that architecture.json"
        ):
            reader(folder)


def test_an_export_of_the_older_format_is_read(exported):
    """It has neither data set nor checksums nor task; a newer one is refused."""
    folder = exported(TEACHER)
    fields = json.loads((folder / "architecture.json").read_text())
    for key in ("dataset", "stand_in", "test_images", "files", "task", "scores"):
        fields.pop(key)
    (folder / "architecture.json").write_text(json.dumps({**fields, "format": 1}))

    network, about = load(folder)
    assert about.dataset == "" and not network.training
