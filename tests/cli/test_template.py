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


def test_a_new_method_trains_to_the_same_bits_with_and_without_stops(project):
    """It is one row of the table."""
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


def test_a_new_method_passes_the_package_s_style_checks(tmp_path):
    """With the rules of the package, ruff finds nothing in its module."""
    files = [str(file) for file in write_skeleton("my_loss", tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "E,F,W,I,D", "--ignore",
         "D105,D107,D203,D213,D407,D413", "--line-length", "100", files[0]],
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["MyLoss", "1st", "a-b", "class", "kd", ""])
def test_unusable_names_of_methods_are_refused(tmp_path, name):
    """A module's name, a keyword and an existing method are refused; nothing is written."""
    with pytest.raises(BadValue, match="method new, NAME"):
        write_skeleton(name, tmp_path / "methods")
    assert not (tmp_path / "methods").exists()


def test_a_new_method_overwrites_nothing(tmp_path):
    """Neither of its two files is replaced."""
    write_skeleton("mine", tmp_path)
    (tmp_path / "mine.py").write_text("work")
    with pytest.raises(UserError, match=r"mine\.py: is there already"):
        write_skeleton("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "work"

    (tmp_path / "mine.py").unlink()
    (tmp_path / "mine.toml").write_text("work")
    with pytest.raises(UserError, match=r"mine\.toml: is there already"):
        write_skeleton("mine", tmp_path)
    assert (tmp_path / "mine.toml").read_text() == "work"
