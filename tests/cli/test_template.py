"""`kdbench method new`: what it writes can be planned, checked, trained and stopped."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from tiny_project import TinyProject

from kdbench.cli.method import outside_plugins
from kdbench.cli.template import TEMPLATES, write_template
from kdbench.distill.loss import DistillationLoss
from kdbench.errors import BadValue, TryAgain, UserError
from kdbench.plan.components import find_components
from kdbench.plan.declarations import MethodDeclaration
from kdbench.plan.graph import load_graph
from kdbench.runs.assemble import find_class
from kdbench.runs.check import check

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def project(tmp_path):
    """A small project with a method fresh from the template."""
    write_template("my_loss", tmp_path / "methods")
    return TinyProject(tmp_path, plugins=[str(tmp_path / "methods")], methods_only=["my_loss"])


@pytest.mark.slow
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


def test_a_method_whose_folder_params_yaml_does_not_name_is_pointed_out(project, monkeypatch):
    """Only while it does not name it, and only for a name that a file has."""
    monkeypatch.chdir(project.root)
    write_template("unplanned", Path("others"))

    assert outside_plugins("unplanned").startswith("; others/unplanned.toml is here: ")
    assert outside_plugins("unplanned").endswith(", others]")
    assert [outside_plugins(name) for name in ("my_loss", "nothing", "*")] == ["", "", ""]


def test_a_new_loss_derives_from_the_base_class_and_names_its_hooks(tmp_path):
    """Each hook of `DistillationLoss` stands in its docstrings, or is overridden."""
    write_template("my_loss", tmp_path)
    method = find_components([str(tmp_path)]).get("method", "my_loss", where="the template")
    cls = find_class(method)
    hooks = {name for name in vars(DistillationLoss) if not name.startswith("_")}

    assert cls.__name__ == "MyLoss"
    assert issubclass(cls, DistillationLoss)
    assert "forward" in hooks
    assert hooks - set(re.findall(r"`(\w+)`", cls.__doc__)) - set(vars(cls)) == set()


def test_a_new_declaration_is_one_of_a_method(tmp_path):
    """It has the keys of `MethodDeclaration`, with values of their types."""
    _, declaration = write_template("my_loss", tmp_path)
    method = MethodDeclaration.model_validate(
        tomllib.loads(declaration.read_text(encoding="utf-8"))
    )

    assert (method.kind, method.class_name, method.label) == ("method", "MyLoss", "My loss")
    assert method.defaults == {"weight": 1.0, "task_weight": 1.0}


def test_the_templates_are_installed_with_the_package():
    """They lie in it, and the package's data files include them."""
    folder = files("kdbench.cli") / "templates"
    settings = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))

    assert {file.name for file in folder.iterdir()} == {"method.py.jinja", "method.toml.jinja"}
    assert "**/*.jinja" in settings["tool"]["setuptools"]["package-data"]["kdbench"]


def test_a_template_without_a_value_is_refused():
    """A name that nothing fills is an error, not an empty text."""
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        TEMPLATES.get_template("method.py.jinja").render(name="my_loss", cls="MyLoss")


def test_a_new_method_passes_the_package_s_style_checks(tmp_path):
    """With the rules of the package, ruff finds nothing in its module."""
    files = [str(file) for file in write_template("my_loss", tmp_path)]
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
        write_template(name, tmp_path / "methods")
    assert not (tmp_path / "methods").exists()


def test_a_new_method_overwrites_nothing(tmp_path):
    """Neither of its two files is replaced."""
    write_template("mine", tmp_path)
    (tmp_path / "mine.py").write_text("work")
    with pytest.raises(UserError, match=r"mine\.py: already exists"):
        write_template("mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "work"

    (tmp_path / "mine.py").unlink()
    (tmp_path / "mine.toml").write_text("work")
    with pytest.raises(UserError, match=r"mine\.toml: already exists"):
        write_template("mine", tmp_path)
    assert (tmp_path / "mine.toml").read_text() == "work"
