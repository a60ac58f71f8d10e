"""Export: what leaves the project computes what the run's network computes, and says what it is."""

import json
import re
import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from models.prunable import FAMILIES, plan_of, scattered, with_gates
from safetensors.torch import load_file
from tiny_project import EVALUATION, SEARCH, STUDENT, TEACHER, TinyProject
from typer.testing import CliRunner

import kdbench
from kdbench.cli import app
from kdbench.data.stored.open import open_data
from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.models.families.wide_resnet import WideResNet
from kdbench.models.pruning.build import build_pruned, structure_of
from kdbench.runs import export
from kdbench.runs.export import About, export_network, export_run, load
from kdbench.runs.model_card import OPSET
from kdbench.store.record import read_record

IMAGE = (3, 16, 16)
WRN = About("wrn-10-2", {"depth": 10, "width": 2}, list("abcde"), IMAGE, [0.5] * 3, [0.2] * 3)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A finished teacher of a few steps, in a project folder."""
    project = TinyProject(tmp_path_factory.mktemp("project"))
    project.run(TEACHER)
    return project


def found(name="densenet-bc"):
    """A found student, and what it is."""
    network, _ = with_gates(name, scattered(0.5))
    structure = structure_of(network, plan_of(network), {"share": 0.3})
    built = build_pruned(structure, 5, IMAGE)
    about = About(
        "larger", {}, list("abcde"), IMAGE, [0.5] * 3, [0.2] * 3, structure=structure.as_dict()
    )
    return built, about


def trained(network):
    """The network with statistics and weights that no fresh one has, in eval mode."""
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1)
    return network.eval()


def test_an_export_has_the_recorded_weights_and_their_description(project, tmp_path):
    """After loading, the outputs are the same."""
    spec = project.spec(TEACHER)
    for weights in ("best", "last"):
        files = export_run(spec, project.paths, tmp_path, weights=weights)
        names = ["model.safetensors", "README.md", "architecture.json"]
        assert [file.name for file in files] == names
        network, about = load(tmp_path)
        recorded = load_file(project.folder(TEACHER) / f"{weights}.safetensors")
        state = network.state_dict()
        assert state.keys() == recorded.keys() and not network.training
        assert all(torch.equal(state[key], recorded[key]) for key in recorded)
        record = read_record(project.record_file(TEACHER))
        assert about.top1 == record["metrics"][weights]["top1"]
        assert about.provenance["epoch"] == record["metrics"][weights]["epoch"]
    assert (about.network, len(about.classes), list(about.image)) == ("resnet56", 10, [3, 8, 8])
    assert about.provenance["digest"] == spec.digest
    assert about.provenance["commit"] == record["provenance"]["commit"]
    data = open_data(project.paths.artifacts(spec.data) / "prepared")
    assert list(about.mean) == list(data.mean) and list(about.std) == list(data.std)
    assert list(about.classes) == list(data.classes)
    assert about.provenance["stand_in"] == data.stand_in


def test_the_protocols_own_constants_go_before_those_of_the_data(project, tmp_path):
    """Images are normalised with the constants that the recipe fixes."""
    spec = project.spec(TEACHER)
    recipe = replace(spec.recipe, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    other = replace(spec, recipe=recipe)
    for kind in ("record", "artifacts"):
        place = getattr(project.paths, kind)
        (shutil.copytree if kind == "artifacts" else shutil.copy)(place(spec), place(other))
    export_run(other, project.paths, tmp_path)
    about = load(tmp_path)[1]
    assert (tuple(about.mean), tuple(about.std)) == (recipe.mean, recipe.std)


def test_the_weights_that_the_protocol_reports_are_exported_by_default(project, tmp_path):
    """They are those of the last epoch or of the best."""
    spec = project.spec(TEACHER)
    export_run(spec, project.paths, tmp_path)
    reported = spec.recipe.reported
    assert load(tmp_path)[1].provenance["weights"] == reported


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pruned_student_is_loaded_from_its_structure(tmp_path, name):
    """Its outputs are the same to the bit."""
    network, about = found(name)
    trained(network)
    export_network(network, about, tmp_path)
    again, about_loaded = load(tmp_path)
    images = torch.randn(2, *IMAGE)
    assert torch.equal(network(images), again(images))
    assert about_loaded.structure["metadata"] == {"share": 0.3}


def test_export_names_the_files_it_wrote(project, tmp_path, monkeypatch):
    """One line per file, in a folder that it makes."""
    monkeypatch.chdir(project.root)
    out = tmp_path / "new" / "folder"
    done = CliRunner().invoke(app, ["export", TEACHER, "--out", str(out), "--scale", "smoke"])
    assert done.exit_code == 0, done.output
    shown = done.output.replace("\n", "")
    assert all(str(file) in shown for file in out.iterdir()) and len(list(out.iterdir())) == 3


def test_what_cannot_be_exported_is_said_in_one_line(project, tmp_path):
    """A search, an unfinished run, unknown weights and absent files; nothing is written."""
    out = tmp_path / "out"

    def refused(name, error, match, **options):
        with pytest.raises(error, match=match) as caught:
            export_run(project.spec(name), project.paths, out, **options)
        assert "\n" not in str(caught.value) and not out.exists()

    refused(SEARCH, BadValue, "expected a teacher or a student")
    refused(
        EVALUATION, BadValue, r"expected a teacher or a student; it measures (teacher|student)/\S+$"
    )
    refused(STUDENT, UserError, "not done yet; kdbench run [0-9a-f]+ --scale smoke$")
    refused(TEACHER, BadValue, "'best' or 'last'", weights="first")
    moved = project.folder(TEACHER).rename(tmp_path / "away")
    try:
        refused(TEACHER, DamagedData, "kdbench restore [0-9a-f]+ --scale smoke$")
    finally:
        shutil.move(moved, project.folder(TEACHER))


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("architecture.json", None, "no such file"),
        ("architecture.json", "{", "unreadable content"),
        ("architecture.json", '{"format": 7}', "found format 7, expected format 3"),
        ("architecture.json", '{"format": 1, "wheels": 4}', "unreadable content"),
        ("model.safetensors", "x", "other bytes"),
        ("model.safetensors", None, "weights of wrn-10-2"),
    ],
)
def test_a_damaged_export_is_said_in_one_line(tmp_path, file, text, match):
    """The line names the file and says what to do."""
    export_network(WideResNet(10, 2, classes=5, image=IMAGE), WRN, tmp_path)
    (tmp_path / file).unlink()
    if text is not None:
        (tmp_path / file).write_text(text)
    with pytest.raises(DamagedData, match=match) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "\n" not in message and file in message and "export the run again" in message


def test_an_export_of_an_unknown_network_is_refused(tmp_path):
    """The message names the nearest network that exists."""
    export_network(WideResNet(10, 2, classes=5, image=IMAGE), WRN, tmp_path)
    file = tmp_path / "architecture.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "network": "wrm-16-2"}))
    with pytest.raises(UnknownName, match="did you mean 'wrn-16-2'") as caught:
        load(tmp_path)
    assert "plugins=[FOLDER]" in str(caught.value)


def test_without_its_packages_onnx_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    """One line says what to install."""
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UserError, match=re.escape("pip install 'kdbench[export]'")) as caught:
        export_network(WideResNet(10, 2, image=IMAGE), WRN, tmp_path / "out", onnx=True)
    assert "no package onnxscript, expected" in str(caught.value)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["densenet-bc", "wrn-2"])
def test_networks_can_be_traced_for_any_batch(name):
    """Tracing finds no Python that looks at a value, and the batch size stays free."""
    network, _ = found(name)
    module = export.Logits(trained(network))
    shapes = {"images": {0: torch.export.Dim("batch")}}
    traced = torch.export.export(module, (torch.zeros(2, *IMAGE),), dynamic_shapes=shapes)
    images = torch.randn(3, *IMAGE)
    torch.testing.assert_close(traced.module()(images), network(images))


@pytest.mark.skipif(find_spec("onnxscript") is None, reason="needs kdbench[export]")
@pytest.mark.slow
def test_an_onnx_export_is_sound(tmp_path):
    """The package onnx accepts the one file, which has one input and one output."""
    import onnx

    network, about = found()
    files = export_network(trained(network), about, tmp_path, onnx=True)
    assert [file.name for file in files][1] == "model.onnx"
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model)
    names = [[value.name for value in part] for part in (model.graph.input, model.graph.output)]
    assert names == [["images"], ["logits"]]
    assert [made.version for made in model.opset_import if not made.domain] == [OPSET]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    """The folder may also be given as text."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadValue, match="a folder that can be made"):
        export_network(WideResNet(10, 2, classes=5, image=IMAGE), WRN, tmp_path / "file" / "out")
    export_network(WideResNet(10, 2, classes=5, image=IMAGE), WRN, tmp_path / "out")
    network, about = load(str(tmp_path / "out"))

    assert about == load(tmp_path / "out")[1] and not network.training


def test_the_package_itself_gives_load_and_nothing_that_it_does_not_have():
    """`kdbench.load` is the function of the documentation, imported at its first use."""
    assert kdbench.load is load
    with pytest.raises(AttributeError, match="no attribute 'save'"):
        kdbench.save  # noqa: B018
