"""What jobs ask for where `kdbench estimate --save` has timed their runs."""

import json
import platform
from types import SimpleNamespace

import pytest
from test_estimate_targets import called
from tiny_project import STUDENT, TEACHER, TinyProject

from kdbench.errors import BadValue, DamagedData
from kdbench.store.timings import Timing, Timings, read_timings, save_timings
from kdbench.workflow.requests import LEAST_MEMORY, MARGIN, START, TIMED_MEMORY
from kdbench.workflow.snakemake import Workflow

HOUR = 3600.0


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """No GPU is seen or asked for."""
    for variable in ("KDBENCH_GPUS", "KDBENCH_JOB_MINUTES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(name="project")
def small_project(tmp_path):
    """A project where nothing ran, at a scale whose jobs are announced."""
    return TinyProject(tmp_path, scale="lite", scales={}, methods_only=["none"], seeds=1)


def timings(device, runs, *, node=None, taken="2026-01-01T00:00:00Z", memory=None):
    """Hours of runs on a device."""
    timed = {d: Timing(seconds=h * HOUR, memory=memory) for d, h in runs.items()}
    node = platform.node() if node is None else node
    return Timings(device=device, name=f"a {device}", node=node, taken=taken, runs=timed)


def student_of(project, *, local=True):
    """A plan, and the job of one student."""
    workflow = Workflow({}, project.root, lambda: local)
    run = next(r for r in workflow.graph.runs.values() if r.phase == "student")
    return workflow, SimpleNamespace(digest=run.digest)


def minutes(project, *, local=True):
    """What the student's job asks for."""
    workflow, job = student_of(project, local=local)
    return workflow.minutes(job)


def after(hours):
    """Minutes that follow from a timing."""
    return START + MARGIN * 60 * hours


def test_a_job_asks_for_what_was_timed_on_this_machine(project):
    """With the margin and the start of every job; runs that were not timed for what is declared."""
    workflow, job = student_of(project)
    declared = {r.digest: workflow.requests.minutes([r]) for r in workflow.graph.runs.values()}
    save_timings(project.paths.timings, timings("cpu", {job.digest: 3}))
    workflow, job = student_of(project)
    now = {r.digest: workflow.requests.minutes([r]) for r in workflow.graph.runs.values()}

    assert declared[job.digest] != after(3)
    assert now == {**declared, job.digest: after(3)}


def test_a_job_on_a_cpu_asks_for_the_memory_that_was_measured(project):
    """With a margin, twice after a failure, and never for less than any job needs."""
    workflow, job = student_of(project)
    declared = workflow.memory(job, 1)
    save_timings(project.paths.timings, timings("cpu", {job.digest: 3}))
    assert student_of(project)[0].memory(job, 1) == declared
    save_timings(project.paths.timings, timings("cpu", {job.digest: 3}, memory=10 * 10**9))
    workflow, job = student_of(project)
    assert workflow.memory(job, 1) == TIMED_MEMORY * 10_000 != declared
    assert workflow.memory(job, 2) == 2 * TIMED_MEMORY * 10_000
    save_timings(project.paths.timings, timings("cpu", {job.digest: 3}, memory=10**6))
    assert student_of(project)[0].memory(job, 1) == LEAST_MEMORY


def test_timings_of_another_machine_or_device_are_not_used_here(project):
    """A GPU's say nothing of a CPU, nor a fast server's of this one."""
    workflow, job = student_of(project)
    declared = workflow.minutes(job)
    save_timings(project.paths.timings, timings("cuda", {job.digest: 3}))
    save_timings(project.paths.timings, timings("cpu", {job.digest: 3}, node="elsewhere"))

    assert minutes(project) == declared


def test_jobs_of_a_cluster_take_the_newest_timing_of_the_device_they_ask_for(project, monkeypatch):
    """Whichever node it was taken on, as the login node has none."""
    _, job = student_of(project)
    newer = "2026-02-02T00:00:00Z"
    for one in (
        timings("cuda", {job.digest: 2}, node="node 2", taken=newer),
        timings("cuda", {job.digest: 1}, node="node 1"),
        timings("cpu", {job.digest: 5}, taken="2026-03-03T00:00:00Z"),
    ):
        save_timings(project.paths.timings, one)
    assert minutes(project, local=False) == after(2)

    monkeypatch.setenv("KDBENCH_GPUS", "0")
    assert minutes(project, local=False) == after(5)


def test_timings_of_one_device_are_kept_together(project):
    """A later call replaces what it times again, and leaves the others."""
    file = project.paths.timings
    save_timings(file, timings("cpu", {"a": 1, "b": 1}))
    save_timings(file, timings("cuda", {"a": 1}))
    save_timings(file, timings("cpu", {"b": 2, "c": 2}, taken="2026-02-02T00:00:00Z"))
    hours = {one.device: {d: t.seconds / HOUR for d, t in one.runs.items()}
             for one in read_timings(file)}  # fmt: skip

    assert hours == {"cuda": {"a": 1}, "cpu": {"a": 1, "b": 2, "c": 2}}


def test_what_was_timed_is_said_when_long_jobs_start(project, capsys):
    """How many runs, on what, and when."""
    workflow, job = student_of(project)
    workflow.start(local=False)
    assert "measured" not in capsys.readouterr().out

    save_timings(project.paths.timings, timings("cuda", {job.digest: 3}, node="node 7"))
    student_of(project, local=False)[0].start(local=False)
    assert capsys.readouterr().out.endswith(
        "1 runs ask for the time that was measured on a cuda of node 7 (2026-01-01T00:00:00Z).\n"
    )


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"timings": [{"device": "cpu"}]}', "timings.0.name"),
        (
            '{"timings": [{"device": "cpu", "name": "", "node": "", "taken": "", '
            '"runs": {"a": {"seconds": -1}}}]}',
            "timings.0.runs.a.seconds",
        ),
    ],
)
def test_a_damaged_file_of_timings_is_one_line(project, content, place):
    """It names the file and the place in it, and says how to go on."""
    project.paths.timings.parent.mkdir()
    project.paths.timings.write_text(content)
    with pytest.raises(DamagedData, match="delete the file; kdbench estimate --save") as caught:
        Workflow({}, project.root)

    assert str(caught.value).startswith(f"{project.paths.timings}{', ' if place else ''}{place}")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_estimate_is_kept_where_that_is_asked_for(tmp_path, monkeypatch, process_as_before):
    """Seconds and memory of every run that computes; without the word no file is changed."""
    project = TinyProject(tmp_path, exhibits=["distpro/table1"])
    monkeypatch.chdir(tmp_path)
    words = [STUDENT, "--device", "cpu", "--seconds", "0", "--minutes", "9"]
    called(*words)
    assert not project.paths.timings.exists()
    output, error = called(*words, "--json", "--save")
    (kept,) = read_timings(project.paths.timings)
    total = json.loads(output[output.index("{") :])["total"]
    whole = total["device_seconds"]

    assert error is None
    assert kept.device == "cpu" and kept.node == platform.node()
    names = (TEACHER, STUDENT, "search/resnet56_resnet20_distpro")
    assert {*kept.runs} == {project.spec(name).digest for name in names}
    assert sum(run.seconds for run in kept.runs.values()) == pytest.approx(whole)
    assert all(run.memory and run.memory > 10**8 for run in kept.runs.values())


def test_a_declared_throughput_is_no_timing(tmp_path, monkeypatch):
    """It is refused before anything is counted."""
    TinyProject(tmp_path, exhibits=["distpro/table1"])
    monkeypatch.chdir(tmp_path)
    _, error = called(STUDENT, "--device", "cpu", "--tflops", "1", "--save")

    assert isinstance(error, BadValue)
    assert (
        str(error) == "--save: found '1 declared TFLOP/s', expected timings; "
        "leave out --tflops and a GPU's name"
    )
