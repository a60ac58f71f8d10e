"""Runs say how far they are while they train."""

from functools import partial

import pytest
from sampling import sampled
from tiny_project import SEARCH, TEACHER, TinyProject

from kdbench.runs import job, progress

pytestmark = pytest.mark.usefixtures("process_as_before")


@pytest.mark.parametrize("name", sampled([TEACHER, SEARCH], [SEARCH]))
def test_a_run_says_at_every_step_how_far_it_is_and_leaves_no_file(tmp_path, monkeypatch, name):
    """Steps rise to the last one, curves grow with the epochs, and the file goes with the run."""
    project = TinyProject(tmp_path / "project")
    states = []
    monkeypatch.setattr(progress, "write_running", lambda file, one: states.append((file, one)))
    monkeypatch.setattr(job, "follow", partial(progress.follow, every=0.0))

    project.run(name)

    spec = project.spec(name)
    own = [one for _, one in states if one.digest == spec.digest]
    assert [one.done for one in own] == list(range(1, own[0].total + 1))
    assert own[0].curves == {} and len(own[-1].curves["epoch"]) == spec.recipe.epochs - 1
    assert {file for file, one in states if one.digest == spec.digest} == {
        project.paths.running(spec)
    }


def test_a_run_that_fails_leaves_no_file(tmp_path, monkeypatch):
    """Nor one that is stopped."""
    project = TinyProject(tmp_path / "project")
    spec = project.spec(TEACHER)

    def failing(*_, **__):
        file = project.paths.running(spec)
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        raise RuntimeError("stop")

    monkeypatch.setattr(job, "follow", failing)

    with pytest.raises(RuntimeError, match="stop"):
        project.run(TEACHER)

    assert not project.paths.running(spec).exists()
