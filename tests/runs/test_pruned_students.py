"""Students that a search carves out of a network, from the search to the reported numbers."""

import json
import shutil

import pytest
from safetensors.torch import load_file
from tiny_project import TinyProject

from kdbench.errors import TryAgain
from kdbench.models.pruning.structure import Structure

OWN = {
    "id": "mine",
    "pairs": ["resnet20:resnet8"],
    "methods": ["none", "dfa_average+kd"],
    "pruned_by": "sbs_kl",
    "pruned_from": "resnet20",
}
SEARCH = "search/resnet20_resnet20_sbs_kl"
ALONE = "resnet20_sbs_kl_none"
TAUGHT = "resnet20_resnet20_sbs_kl_dfa_average+kd"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A project whose table of found students is finished; never changed."""
    project = TinyProject(
        tmp_path_factory.mktemp("found"),
        exhibits=["own"],
        pairs=[],
        seeds=1,
        tables=[OWN],
        searches={"sbs_kl": {"budget": 0.6}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        for name in (ALONE, TAUGHT):
            project.run(f"evaluation/{name}")
    return project


def record(project, name):
    """A run's record."""
    return json.loads(project.record_file(name).read_text())


def test_a_pruned_student_is_a_smaller_network(done):
    """Its weights are those of the smaller network, and the evaluation counts them."""
    structure = record(done, SEARCH)["structure"]
    measured = record(done, f"evaluation/{ALONE}")["metrics"]
    weights = load_file(done.folder(f"student/{ALONE}_s0") / "last.safetensors")
    whole = load_file(done.folder("teacher/resnet20") / "last.safetensors")

    def total(tensors):
        return sum(v.numel() for k, v in tensors.items() if k.endswith(("weight", "bias")))

    assert total(weights) == measured["parameters"] < total(whole)
    assert measured["parameters"] == structure["after"]["parameters"]
    assert measured["flops_with_elements"] == structure["after"]["flops_with_elements"]
    assert measured["macs"] == structure["after"]["multiply_adds"]
    assert structure["met"] is True


def test_a_pruned_student_is_trained_by_any_methods(done):
    """The sum of two methods trains it and logs their terms by name."""
    curves = record(done, f"student/{TAUGHT}_s0")["curves"]

    assert "task" in curves
    assert any(name.startswith("dfa_average.") for name in curves)
    assert any(name.startswith("kd.") for name in curves)
    assert len(record(done, f"evaluation/{TAUGHT}")["metrics"]["runs"]) == 1


def test_a_stopped_search_ends_in_the_same_structure(done, tmp_path):
    """Stopped after every step, it also has the same curves."""
    shutil.copytree(done.root, tmp_path / "project")
    project = TinyProject(tmp_path / "project")
    before = (project.folder(SEARCH) / "structure.json").read_bytes()
    curves = record(project, SEARCH)["curves"]
    project.record_file(SEARCH).unlink()
    shutil.rmtree(project.folder(SEARCH))
    calls = 0
    while not project.record_file(SEARCH).exists():
        calls += 1
        try:
            project.run(SEARCH, max_minutes=0)
        except TryAgain:
            continue

    assert calls >= 3
    assert (project.folder(SEARCH) / "structure.json").read_bytes() == before
    assert record(project, SEARCH)["curves"] == curves
    assert Structure.load(project.folder(SEARCH)).family == "ResNet"
