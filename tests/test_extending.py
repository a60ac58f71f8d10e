"""The worked example of docs/extending.md, run as it stands there."""

import re
from pathlib import Path

import pytest
from tiny_project import TinyProject

from kdbench.distill.loss import DistillationLoss
from kdbench.plan.components import find_components
from kdbench.plan.graph import load_graph
from kdbench.runs.assemble import find_class
from kdbench.runs.check import check
from kdbench.search.searcher import Searcher

README = Path(__file__).parents[1] / "README.md"
PAGE = README.with_name("docs") / "extending.md"


def hooks(cls):
    """Names of what a base class declares for its subclasses."""
    return {name for name in vars(cls) if not name.startswith("_")}


def blocks(kind):
    """The fenced blocks of one language."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def project(tmp_path):
    """A project with the example's two files."""
    (code,), (declaration,) = blocks("python"), blocks("toml")
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/attention_gap.py").write_text(code)
    (tmp_path / "methods/attention_gap.toml").write_text(declaration)
    return TinyProject(
        tmp_path, plugins=[str(tmp_path / "methods")], methods_only=["attention_gap"]
    )


def test_the_example_has_under_fifty_lines_and_trains(project):
    """`kdbench check` accepts it, and it is a row of the table."""
    assert len((blocks("python")[0] + blocks("toml")[0]).splitlines()) < 50
    graph = load_graph(project.root)
    assert check(graph, lambda _: None) == []
    assert "Attention gap" in [row.label for row in graph.tables()[0].rows]
    project.run("student/resnet56_resnet20_attention_gap_s0")
    assert project.record_file("student/resnet56_resnet20_attention_gap_s0").is_file()


def test_the_example_derives_from_the_base_class(project):
    """Its loss is a `DistillationLoss`, not a plain module that is given the hooks."""
    method = find_components([str(project.root / "methods")]).get(
        "method", "attention_gap", where="the example"
    )

    assert issubclass(find_class(method), DistillationLoss)


@pytest.mark.parametrize("cls", [DistillationLoss, Searcher])
def test_the_page_names_everything_that_the_base_classes_declare(cls):
    """In backticks."""
    named = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))

    assert {"forward", "step"} & hooks(cls)
    assert hooks(cls) - named == set()


def test_the_readme_states_how_many_lines_the_example_has():
    """Those of its two files."""
    lines = len((blocks("python")[0] + blocks("toml")[0]).splitlines())

    assert f"a whole method in {lines} lines" in README.read_text(encoding="utf-8")
