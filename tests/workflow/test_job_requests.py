"""What jobs ask of their machine: GPUs, minutes, memory."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdbench.errors import BadValue
from kdbench.plan.params import Params
from kdbench.store.spec import PHASES
from kdbench.workflow import requests
from kdbench.workflow.requests import DAY, Requests, visible_gpus
from kdbench.workflow.snakemake import Workflow


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Nothing is asked for, and no GPU is seen."""
    for variable in ("KDBENCH_GPUS", "KDBENCH_JOB_MINUTES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def planned(tmp_path, scale, *, local=True):
    """A plan of one table of the package, and a job of every phase."""
    (tmp_path / "params.yaml").touch()
    config = {"scale": scale, "exhibits": ["distpro/table1"]}
    workflow = Workflow(config, tmp_path, lambda: local)
    runs = workflow.graph.runs.values()
    jobs = {phase: next(r for r in runs if r.phase == phase) for phase in PHASES}
    return workflow, {phase: SimpleNamespace(digest=run.digest) for phase, run in jobs.items()}


@pytest.mark.parametrize(
    ("scale", "local", "visible", "given", "gpus"),
    [
        ("paper", True, "", None, 0),
        ("paper", True, "0,1", None, 1),
        ("paper", True, "-1", None, 0),
        ("paper", True, "", "1", 1),
        ("paper", True, "0", "0", 0),
        ("paper", False, "", None, 1),
        ("paper", False, "", "0", 0),
        ("paper", False, "", "4", 4),
        ("smoke", True, "0", None, 0),
        ("smoke", False, "", None, 0),
        ("smoke", False, "", "1", 1),
    ],
)
def test_jobs_ask_for_the_gpus_that_there_are(
    tmp_path, monkeypatch, scale, local, visible, given, gpus
):
    """A cluster's jobs for one, whatever its login node has; the switch stands over all of it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if given is not None:
        monkeypatch.setenv("KDBENCH_GPUS", given)
    workflow, jobs = planned(tmp_path, scale, local=local)

    asked = {phase: workflow.gpus(job) for phase, job in jobs.items()}

    assert asked == {phase: 0 if phase == "data" else gpus for phase in PHASES}


@pytest.mark.parametrize(
    ("local", "visible", "given", "words"),
    [
        (True, "", None, "No GPU is seen here, so jobs ask for none"),
        (True, "0", None, "asks for one of the GPUs seen here"),
        (False, "", None, "asks the scheduler for one GPU"),
        (False, "", "4", "asks for 4 GPU, as KDBENCH_GPUS says"),
    ],
)
def test_what_jobs_ask_for_is_said_when_paper_starts(
    tmp_path, monkeypatch, capsys, local, visible, given, words
):
    """One line, which names the switch."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if given is not None:
        monkeypatch.setenv("KDBENCH_GPUS", given)
    workflow, _ = planned(tmp_path, "paper", local=local)

    workflow.start(local=local)

    (line,) = capsys.readouterr().out.splitlines()
    assert words in line
    assert "KDBENCH_GPUS" in line


@pytest.mark.parametrize("text", ["one", "-1", "1.5", "١"])
@pytest.mark.parametrize("variable", ["KDBENCH_GPUS", "KDBENCH_JOB_MINUTES"])
def test_a_switch_that_is_no_number_is_one_line(monkeypatch, variable, text):
    """It names the variable and what it holds."""
    monkeypatch.setenv(variable, text)

    with pytest.raises(BadValue, match=f"^{variable}: found "):
        Requests(Params(), lambda: True)


def test_a_search_asks_for_more_time_than_its_student_and_both_for_less_than_a_day(tmp_path):
    """Of the published recipe on one GPU; data and evaluation need less."""
    workflow, jobs = planned(tmp_path, "paper", local=False)
    runs = {phase: workflow.graph.runs[job.digest] for phase, job in jobs.items()}
    epochs = runs["student"].recipe.epochs
    search = replace(runs["search"], recipe=replace(runs["search"].recipe, epochs=epochs // 4))

    student = workflow.minutes(jobs["student"])
    short = [workflow.minutes(jobs[phase]) for phase in ("data", "evaluation")]

    assert max(short) < student < workflow.requests.minutes([search]) < DAY
    assert student / 60 > epochs * 391 * requests.STEP / 3600  # hours, of steps of 128 images


def test_a_job_of_several_cells_asks_for_the_time_of_all_its_runs(tmp_path):
    """Students are among them, and the memory is that of the largest."""
    workflow, jobs = planned(tmp_path, "smoke")
    runs = workflow.graph.runs.values()
    group = next(g for g in map(workflow.job_groups.of, runs) if len(g) > 1)
    job = SimpleNamespace(digest=group[-1].digest)

    assert workflow.requests.minutes(group[-1:]) < workflow.minutes(job)
    assert workflow.memory(job, 1) == workflow.memory(jobs["student"], 1)


def test_a_failed_job_asks_for_twice_the_memory(tmp_path):
    """Once: an attempt after a time limit needs no more, and nodes have an end."""
    workflow, jobs = planned(tmp_path, "paper")

    first, second, fourth = (workflow.memory(jobs["search"], attempt) for attempt in (1, 2, 4))

    assert (second, fourth) == (2 * first, 2 * first)


def test_no_job_asks_for_more_than_the_longest_time(tmp_path, monkeypatch):
    """Some partitions end after four hours."""
    monkeypatch.setenv("KDBENCH_JOB_MINUTES", "240")
    workflow, jobs = planned(tmp_path, "paper")

    assert max(workflow.minutes(job) for job in jobs.values()) == 240


def test_gpus_are_counted_by_what_is_visible(monkeypatch):
    """Numbers, names and parts of GPUs."""
    for visible, count in [("0,1", 2), ("GPU-a", 1), ("MIG-a,MIG-b,", 2), ("", 0), ("-1", 0)]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert visible_gpus() == count
