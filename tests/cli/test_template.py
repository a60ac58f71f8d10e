"""`kdbench method new`: what it writes can be planned, checked, trained and stopped."""

import json
import subprocess
import sys

import pytest
from tiny_project import TinyProject

from kdbench.cli.template import write_skeleton
from kdbench.errors import BadValue, TryAgain, UserError
from kdbench.plan.graph import load_graph
from kdbench.runs.check import check


@pytest.fixture
def project(tmp_path):
    """A small project with a fresh skeleton."""
    write_skeleton("my_loss", tmp_path / "methods")
    return TinyProject(tmp_path, plugins=[str(tmp_path / "methods")], methods_only=["my_loss"])


def test_a_skeleton_can_run_and_be_stopped(project):
    """A row of the table, trained to the same bits with and without stops."""
    name = "student/resnet56_resnet20_my_loss_s0"
    assert check(load_graph(project.root), lambda _: None) == []
    project.run(name)
    file = project.folder(name) / "last.safetensors"
    whole, record = file.read_bytes(), json.loads(project.record_file(name).read_text())
    project.undo(name)
    while not project.record_file(name).exists():
        try:
            project.run(name, max_minutes=0)
        except TryAgain:
            continue

    assert file.read_bytes() == whole
    assert len(record["curves"]["my_loss"]) == 2


def test_a_skeleton_is_as_tidy_as_the_package(tmp_path):
    """The package's own style checks accept it."""
    files = [str(file) for file in write_skeleton("my_loss", tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "E,F,W,I,D", "--ignore",
         "D105,D107,D203,D213,D407,D413", "--line-length", "100", files[0]],
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["MyLoss", "1st", "a-b", "class", "kd", ""])
def test_names_that_cannot_be_are_refused(tmp_path, name):
    """No module's name, a keyword, or a method of the package; nothing is written."""
    with pytest.raises(BadValue, match="method new, NAME"):
        write_skeleton(name, tmp_path / "methods")
    assert not (tmp_path / "methods").exists()


def test_nothing_is_overwritten(tmp_path):
    """Neither of the two files."""
    write_skeleton("mine", tmp_path)
    (tmp_path / "mine.py").write_text("work")
    with pytest.raises(UserError, match=r"mine\.py: is there already"):
        write_skeleton("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "work"
