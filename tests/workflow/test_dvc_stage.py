"""What a DVC stage's command builds: the data set that DVC names, which no shell reads."""

import pytest
import yaml
from small_project import REPOSITORY

from kdbench.errors import UnknownName, UserError
from kdbench.store.paths import Paths
from kdbench.workflow import dvc_stage
from kdbench.workflow.dvc_stage import build_stage


@pytest.fixture(name="graph")
def small_plan(planned):
    """One pair, at scale smoke."""
    return planned(pairs=["resnet56:resnet20"], methods_only=["none"])


@pytest.fixture(name="asked")
def what_snakemake_is_asked(monkeypatch):
    """Targets of every call of Snakemake; DVC is not called."""
    calls = []
    monkeypatch.setattr(dvc_stage, "make_missing", lambda targets, *_, **__: calls.append(targets))
    monkeypatch.setattr(dvc_stage, "_track", lambda *_: None)
    return calls


def test_no_command_of_a_stage_holds_a_value_of_params():
    """A shell reads the commands, so that a name in one could be a command of its own."""
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]

    commands = [stage["cmd"] for stage in stages.values()]

    assert len(commands) == 6
    assert not [command for command in commands if "$" in command]


def test_a_stage_builds_the_data_set_that_its_name_says(graph, asked, tmp_path, monkeypatch):
    """Also where DVC was called in a folder below, from which the stage's name has a path."""
    (tmp_path / "Snakefile").touch()
    for stage in ("teacher@smoke-cifar100", "../dvc.yaml:teacher@smoke-cifar100"):
        monkeypatch.setenv("DVC_STAGE", stage)
        build_stage(graph, Paths(tmp_path), "teacher", None, None)
    build_stage(graph, Paths(tmp_path), "teacher", "cifar100", None)

    assert len(asked[0]) > 0
    assert asked[0] == asked[1] == asked[2]


def test_the_stage_of_the_report_has_no_data_set(graph, asked, tmp_path, monkeypatch):
    """Its name ends with the scale."""
    (tmp_path / "Snakefile").touch()
    monkeypatch.setenv("DVC_STAGE", "report@smoke")

    build_stage(graph, Paths(tmp_path), "report", None, None)

    assert [path.name for path in asked[0]][1:] == ["README.md"]


@pytest.mark.parametrize("stage", ["", "teacher@lite-cifar100", "student@smoke-cifar100"])
def test_without_a_data_set_or_its_stage_one_line_says_what_to_type(
    graph, tmp_path, monkeypatch, stage
):
    """A stage of another phase or scale gives none."""
    monkeypatch.setenv("DVC_STAGE", stage)

    with pytest.raises(UserError, match=r"no data set \(.*\); name it: kdbench build teacher"):
        build_stage(graph, Paths(tmp_path), "teacher", None, None)


def test_a_data_set_with_a_shells_signs_is_only_a_name(graph, tmp_path, monkeypatch):
    """It is refused by its whole name."""
    monkeypatch.setenv("DVC_STAGE", "teacher@smoke-cifar100; touch gone")

    with pytest.raises(UnknownName, match="no dataset is called 'cifar100; touch gone'"):
        build_stage(graph, Paths(tmp_path), "teacher", None, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar100; touch gone", "$(touch gone)", "a'b; touch gone"])
def test_the_real_dvc_runs_no_command_in_a_name(make_project, tmp_path, name):
    """The stage fails in one line of kdbench's."""
    project = make_project(tmp_path / "project", scale="smoke", datasets=[name])

    output = project("dvc", "repro", check=False)

    assert "params.yaml" in output and "failed to reproduce" in output
    assert "Traceback" not in output
    assert not (project.root / "gone").exists()
