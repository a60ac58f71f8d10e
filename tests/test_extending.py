"""The worked example of docs/extending.md, run as it stands there."""

import re
from pathlib import Path

import pytest
from tiny_project import TinyProject

from kdbench.plan.graph import load_graph
from kdbench.runs.check import check

PAGE = Path(__file__).parents[1] / "docs/extending.md"


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
    return TinyProject(tmp_path, plugins=[str(tmp_path / "methods")])


def test_the_example_is_short_and_runs(project):
    """Under fifty lines in all; it fits the pair, trains, and is a row of the table."""
    assert len((blocks("python")[0] + blocks("toml")[0]).splitlines()) < 50
    graph = load_graph(project.root)
    assert check(graph, lambda _: None) == []
    assert "Attention gap" in [row.label for row in graph.tables()[0].rows]
    project.run("student/resnet56_resnet20_attention_gap_s0")
    assert project.record_file("student/resnet56_resnet20_attention_gap_s0").is_file()
