"""A plan that is made once for the processes that are forked afterwards."""

import pytest

from kdbench.plan import graph as planning
from kdbench.plan.graph import keep_graph, load_graph

FIGURE = {"exhibits": ["distpro/figure6"], "datasets": ["cifar100"]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder; plans that a test keeps are forgotten after it."""
    monkeypatch.setattr(planning, "_kept", [])
    (tmp_path / "params.yaml").write_text("scale: smoke\n")
    return tmp_path


def test_a_kept_plan_is_given_to_whoever_asks_for_the_same(project):
    """With the same words over params.yaml, or the same words in it."""
    keep_graph(project, FIGURE)
    kept = load_graph(project, FIGURE)

    assert load_graph(project, {**FIGURE, "scale": "smoke"}) is kept
    assert "runs" in vars(kept), "planned to its end"


def test_another_plan_is_made_for_whoever_asks_for_another(project):
    """Where the options differ, or params.yaml has been edited since."""
    keep_graph(project, FIGURE)
    kept = load_graph(project, FIGURE)
    seeds = load_graph(project, {**FIGURE, "seeds": 2})
    (project / "params.yaml").write_text("scale: smoke\nmethods: {kd: {temperature: 8.0}}\n")
    edited = load_graph(project, FIGURE)

    assert edited is not kept and seeds is not kept
    assert edited.params.methods == {"kd": {"temperature": 8.0}}


def test_a_plan_with_plug_ins_is_not_kept(project):
    """Their files may be edited while jobs start."""
    (project / "mine").mkdir()
    keep_graph(project, {**FIGURE, "plugins": [str(project / "mine")]})

    assert not planning._kept
