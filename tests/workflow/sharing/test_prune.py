"""`kdbench prune` drops exactly what it lists, and never what anything of today needs."""

import subprocess
from unittest.mock import patch

from filelock import FileLock

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.workflow.prune import prune

PAIR = {"pairs": ["resnet56:resnet20"], "seeds": 2}
OWN = {"id": "mine", "pairs": ["resnet56:resnet20"], "methods": ["at"], "seeds": 1}


def pruned(study, *, delete=False, **params):
    """Every line under another params.yaml, and how many runs it lists."""
    lines = []
    graph = make_graph(Params(**{"exhibits": ["distpro/table1"], **PAIR, **params}))
    count = prune(graph, study.paths, lines.append, delete=delete)
    return lines, count


def listed(lines):
    """The paths that the lines name."""
    return {line.strip() for line in lines if line.startswith("  ")}


def test_the_dry_run_lists_exactly_what_goes(study):
    """Without KD and its runs in the plan, their files go and all others stay."""
    project = study("project").finish()
    before = project.files()
    only = {"methods_only": ["none"]}
    lines, count = pruned(project, **only)
    assert project.files() == before and count > 0

    again, _ = pruned(project, delete=True, **only)
    gone = set(before) - set(project.files())
    paths = listed(lines)
    assert listed(again) == paths
    assert gone == {
        name for name in before if any(str(project.root / name).startswith(p) for p in paths)
    }
    needed = make_graph(Params(**{"exhibits": ["distpro/table1"], **PAIR, **only})).runs
    assert all(project.paths.record(run).is_file() for run in needed.values())
    assert pruned(project, **only)[1] == 0


def test_what_the_plan_needs_stays(study):
    """Under the params.yaml that made it, there is nothing to drop."""
    lines, count = pruned(study("project").finish())

    assert count == 0
    assert lines == ["scale smoke: the current params.yaml needs every run here"]


def test_another_scale_is_never_touched(study):
    """Runs of scale lite stay, whatever smoke's plan says."""
    project = study("project", scale="lite").finish()
    before = project.files()
    _, count = pruned(project, delete=True, methods_only=["none"])

    assert count == 0 and project.files() == before


def test_tables_of_ones_own_keep_their_runs(study):
    """Also where today's `exhibits` and filters leave the table out."""
    project = study("project", exhibits=["own"], tables=[OWN]).finish()
    before = project.files()
    filters = {"exhibits": ["distpro/table1"], "pairs": ["wrn-40-2:wrn-16-2"]}
    _, count = pruned(project, delete=True, tables=[OWN], **filters)
    assert count == 0 and project.files() == before

    assert pruned(project, **filters)[1] > 0  # without the table


def test_what_dvc_holds_stays_and_is_said(study):
    """The copy in results/<scale>/tracked is DVC's."""
    project = study("project").finish()
    run = project.run("student/resnet56_resnet20_kd_s0")
    copy = project.paths.tracked_run(project.paths.artifacts(run))
    copy.mkdir(parents=True)
    (copy / "last.safetensors").write_text("weights")
    lines, _ = pruned(project, delete=True, methods_only=["none"])

    assert any(f"DVC's copy stays: {copy}" in line and run.digest in line for line in lines)
    assert (copy / "last.safetensors").is_file()
    assert not project.paths.record(run).exists()


def test_a_record_that_no_commit_holds_is_said_to_be_gone_for_good(study):
    """One that git holds as it is can be brought back."""
    project = study("project").finish()
    run = project.run("student/resnet56_resnet20_kd_s0")

    def git(*words):
        names = ("-c", "user.name=T", "-c", "user.email=t@example.org")
        subprocess.run(["git", *names, *words], cwd=project.root, check=True, capture_output=True)

    def line():
        lines, _ = pruned(project, methods_only=["none"])
        return next(line for line in lines if run.digest in line)

    git("init", "--quiet")
    assert "cannot be recovered" in line()
    git("add", str(project.paths.record(run)))
    git("commit", "--quiet", "--message", "A record")
    assert "cannot be recovered" not in line()
    project.tamper(run, "70.0", "71.0")
    assert "cannot be recovered" in line()


def test_a_run_at_work_is_left_alone(study):
    """Its folder is locked by the process that makes it."""
    project = study("project").finish()
    run = project.run("student/resnet56_resnet20_kd_s0")
    with FileLock(project.paths.artifacts(run) / ".lock"):
        lines, _ = pruned(project, methods_only=["none"])
    assert not any(run.digest in line for line in lines)


def test_without_git_every_record_is_gone_for_good(study):
    """Where there is no git at all."""
    project = study("project").finish()
    with patch("subprocess.run", side_effect=FileNotFoundError):
        lines, count = pruned(project, methods_only=["none"])

    heads = [line for line in lines[:-1] if not line.startswith("  ")]
    assert len(heads) == count > 0
    assert all("cannot be recovered" in line for line in heads)
