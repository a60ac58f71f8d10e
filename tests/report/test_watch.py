"""What runs at this moment: written by runs, shown on terminals and pages, for TensorBoard."""

import json
import os
import platform
import sys
from dataclasses import replace

import pytest
from made_up import Project

from kdbench.errors import UserError
from kdbench.report.make import make_report
from kdbench.report.site.running import RunningPage
from kdbench.runs.progress import follow
from kdbench.store.running import SILENT, Running, read_running, write_running
from kdbench.workflow.event_files import EventFiles
from kdbench.workflow.watch import lines, look, watch

NOW = 1_000_000.0
ONE = Running(
    digest="0123456789ab",
    phase="student",
    dataset="cifar100",
    cell="a_b_kd_s0",
    host=platform.node(),
    pid=os.getpid(),
    device="cpu (test)",
    started=NOW - 100,
    updated=NOW,
    begun=100,
    done=300,
    total=500,
    curves={"epoch": [1.0, 2.0, 3.0], "task": [3.0, 2.0, 1.5], "test_top1": [-1.0, 40.5, 60.25]},
)


@pytest.fixture
def plan(tmp_path):
    """A project without any record."""
    return Project(tmp_path, scale="lite", exhibits=["distpro/table1"])


@pytest.fixture
def spec(plan):
    """One of its students."""
    return next(run for run in plan.graph.runs.values() if run.phase == "student")


def write(plan, one=ONE, name="run"):
    """Say that a run is in progress."""
    folder = plan.paths.all_running("lite") / one.phase / one.dataset
    write_running(folder / f"{name}.json", one)


def test_a_step_takes_what_this_process_took_for_its_own_steps():
    """100 s for steps 100 to 300 are half a second each, and 200 steps are left."""
    assert (ONE.step_seconds, ONE.seconds_left, ONE.share) == (0.5, 100.0, 0.6)
    assert replace(ONE, done=100).step_seconds is None


def test_epochs_at_which_nothing_was_measured_have_no_point():
    """-1 is a training's mark for no look."""
    assert ONE.points("test_top1") == [(2.0, 40.5), (3.0, 60.25)]
    assert ONE.points("task")[0] == (1.0, 3.0) and ONE.measured[0] == "test_top1"


def test_a_run_is_silent_after_a_while_and_stopped_without_its_process():
    """A process of another machine cannot be looked for."""
    gone = replace(ONE, pid=2**22 + 1)

    assert ONE.state(NOW) == "running" and ONE.state(NOW + SILENT + 1) == "silent"
    assert gone.state(NOW) == "stopped" and replace(gone, host="other").state(NOW) == "running"


def test_steps_renew_the_file_and_call_the_bar(plan, spec):
    """Without a pause every step does; curves are those of that moment."""
    ticks, curves = [], {"epoch": [1.0], "task": [2.0]}
    file = plan.paths.running(spec)
    tick = lambda: ticks.append(1)  # noqa: E731
    step = follow(spec, file, "cpu", tick, total=10, done=4, curves=curves, every=0.0)

    step()
    curves["task"].append(1.0)
    step()

    (one,) = read_running(plan.paths.all_running("lite"))
    assert (one.begun, one.done, one.total, one.digest) == (4, 6, 10, spec.digest)
    assert one.curves["task"] == [2.0, 1.0] and one.pid == os.getpid() and len(ticks) == 2


def test_within_the_pause_nothing_is_written(plan, spec):
    """A run of seconds leaves no file."""
    file = plan.paths.running(spec)
    follow(spec, file, "cpu", lambda: None, total=10, done=0, curves={}, every=60.0)()

    assert not file.exists()


def test_a_training_goes_on_where_the_file_cannot_be_written(plan, spec):
    """A file in the way of the folder, and a loss that is no JSON."""
    folder = plan.paths.all_running("lite")
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    step = follow(
        spec, plan.paths.running(spec), "cpu", lambda: None, total=9, done=0, curves={}, every=0.0
    )
    step()
    folder.unlink()
    write_running(plan.paths.running(spec), replace(ONE, curves={"task": [float("nan")]}))

    assert read_running(folder) == []


def test_a_terminal_shows_share_speed_time_left_and_the_curve(plan):
    """Two lines and a curve per run, one line for all."""
    write(plan)
    moment = replace(look(plan.graph, plan.paths), now=NOW)

    text = "\n".join(lines(moment))

    assert "student cifar100 a_b_kd_s0  (0123456789ab, cpu (test))" in text
    assert " 60.0 %, step 300 of 500, 500 ms per step, 1.7 min left" in text
    assert "test_top1 60.25  ▁█" in text
    planned = sum(run.phase == "student" for run in plan.graph.runs.values())
    assert f"student 0 of {planned}" in text


def test_a_damaged_file_is_passed_over(plan):
    """It may be of another version, or half of one."""
    write(plan)
    folder = plan.paths.all_running("lite") / "student/cifar100"
    (folder / "other.json").write_text("{")
    (folder / "older.json").write_text(json.dumps({"digest": "1"}))

    assert [one.cell for one in read_running(plan.paths.all_running("lite"))] == [ONE.cell]


def test_the_page_shows_runs_and_loads_itself_again(plan):
    """While somebody watches; afterwards it does not."""
    write(plan, replace(ONE, cell="<b>hostile</b>"))
    page = RunningPage(plan.graph, plan.paths)
    running = read_running(plan.paths.all_running("lite"))

    page.write(running, NOW, 5.0)
    text = page.file.read_text(encoding="utf-8")
    page.write(running, NOW, None)

    assert 'data-every="5.0"' in text and "500 ms per step" in text and "1.7 min" in text
    assert "&lt;b&gt;hostile" in text and "<b>hostile" not in text
    assert "data-every" not in page.file.read_text(encoding="utf-8")


def test_a_report_says_nothing_of_what_runs(plan):
    """Its page says how to watch: equal records give equal bytes."""
    first = (make_report(plan.graph, plan.paths).parent / "running.html").read_bytes()
    write(plan)
    second = (make_report(plan.graph, plan.paths).parent / "running.html").read_bytes()

    assert first == second and b"kdbench watch --page --scale lite" in first


def test_without_tensorboard_one_line_says_what_to_install(plan, monkeypatch):
    """Before anything is written."""
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)

    with pytest.raises(UserError, match=r"not installed; pip install 'kdbench\[tensorboard\]'"):
        watch(plan.graph, plan.paths, lambda _: None, every=None, event_files=True)


def test_event_files_hold_the_curves_of_running_and_finished_runs(plan, spec):
    """Each point once, also when a second look sees more of it."""
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="an extra"
    )
    plan.write(spec, curves={"epoch": [1, 2], "test_top1": [None, 50.0]})
    for _ in range(2):  # a second call replaces what the first one wrote
        events = EventFiles(plan.paths, plan.graph)
        events.write([replace(ONE, curves={"epoch": [1.0], "task": [3.0]})])
        events.write([ONE])

    def scalars(place, name):
        folder = plan.paths.event_files("lite") / place
        read = event_accumulator.EventAccumulator(str(folder))
        read.Reload()
        return [(event.step, event.value) for event in read.Scalars(name)]

    running = "student/cifar100/a_b_kd_s0.0123456789ab"
    assert scalars(running, "task") == [(1, 3.0), (2, 2.0), (3, 1.5)]
    assert scalars(running, "test_top1") == [(2, 40.5), (3, 60.25)]
    finished = f"student/{spec.dataset}/{spec.cell}.{spec.digest}"
    assert scalars(finished, "test_top1") == [(2, 50.0)]
