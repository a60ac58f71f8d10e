"""Runs that cannot end well: one line, no record, nothing half-written."""

import json
import os
import shutil
import subprocess
import time

import pytest
import torch
from tiny_project import STUDENT, TinyProject

from kdbench.console import fail
from kdbench.engine.train_state import TrainState
from kdbench.errors import BadValue, DamagedData, Diverged, TryAgain, UserError
from kdbench.plan.graph import load_graph
from kdbench.report.readings.records import Records
from kdbench.runs.check import check
from kdbench.store.paths import CHECKPOINT, PREVIOUS
from kdbench.workflow.status import state


def test_a_training_that_diverges_is_one_line(finished, capsys):
    """It names a term, ends with exit code 4 and leaves neither record nor artifact."""
    name = "student/resnet56_resnet20_kd_s0"
    finished.edit(methods={"kd": {"weight": 1e9, "task_weight": 1e9}})
    line = r"epoch 0: (found )?the loss terms? '\w+' (is |\()(nan|inf)"
    with pytest.raises(Diverged, match=line) as caught:
        finished.run(name)

    assert fail(caught.value) == 4
    assert capsys.readouterr().err.count("\n") == 1
    assert not finished.record_file(name).exists()
    assert list(finished.folder(name).iterdir()) == []


def test_a_divergence_is_reported_until_the_run_succeeds(finished):
    """Status and report say so, where a cell would otherwise only be empty."""
    finished.undo(STUDENT)
    spec = finished.spec(STUDENT)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Diverged):
        patch.setattr("kdbench.runs.steps.TrainStep.__call__", not_a_number)
        finished.run(STUDENT)

    assert state(spec, finished.paths) == "diverged"
    (reason,) = Records(finished.paths).diverged([spec])
    assert reason.startswith(f"{spec.title}: epoch 0: the loss term 'task' is nan")
    finished.run(STUDENT)
    assert state(spec, finished.paths) == "done"
    assert not finished.paths.diverged(spec).exists()


def not_a_number(*_):
    """A step whose loss is none."""
    return {"task": torch.tensor(float("nan"))}


HOOKLESS = """
from torch import nn

from kdbench.distill.schedules import FirstPart


class Hookless(nn.Module):
    def __init__(self, student, teacher):
        super().__init__()
        self.first = FIRST
"""
DECLARATION = """
kind = "method"
class = "Hookless"
label = "Hookless"
revision = 1
"""
FORWARD = """
    def forward(self, student, teacher, batch, position):
        return {}
"""


@pytest.mark.parametrize(
    ("code", "hook"),
    [
        (HOOKLESS.replace("= FIRST", "= None"), "forward"),
        (HOOKLESS.replace("= FIRST", "= FirstPart(1, 2, 0.1, False)") + FORWARD, "first_terms"),
    ],
)
def test_a_loss_without_a_needed_hook_fails_before_training_in_the_line_of_check(
    finished, capsys, code, hook
):
    """The line names the plug-in's file, the class and the hook; nothing of the run is left."""
    plugins = finished.root / "own"
    plugins.mkdir()
    (plugins / "hookless.py").write_text(code)
    (plugins / "hookless.toml").write_text(DECLARATION)
    finished.edit(plugins=[str(plugins)], methods_only=["hookless"])
    name = "student/resnet56_resnet20_hookless_s0"
    with pytest.raises(BadValue) as caught:
        finished.run(name)

    line = f"{plugins / 'hookless.py'}: found 'class Hookless without {hook}', expected "
    assert str(caught.value).startswith(line)
    assert fail(caught.value) == 2
    assert capsys.readouterr().err == f"kdbench: {caught.value}\n"
    assert not finished.record_file(name).exists()
    assert list(finished.folder(name).iterdir()) == []
    problems = check(load_graph(finished.root), lambda _: None)
    assert problems == [f"cifar100, resnet56:resnet20, hookless: {caught.value}"]


def test_a_checkpoint_of_another_run_is_refused(finished):
    """The message says to delete the file, and after that the run succeeds."""
    finished.undo(STUDENT)
    folder = finished.folder(STUDENT)
    TrainState(folder, "another run", {}).save()
    with pytest.raises(DamagedData, match="delete it to start this run afresh"):
        finished.run(STUDENT)

    (folder / "checkpoint.pt").unlink()
    finished.run(STUDENT)

    assert finished.record_file(STUDENT).exists()


def test_damaged_checkpoints_are_named_and_the_run_ends_in_the_same_bits(finished):
    """The last with a flipped bit, then the one before cut off as well: a line each."""
    finished.run(STUDENT)
    whole = finished.files()
    finished.undo(STUDENT)
    for _ in range(3):
        with pytest.raises(TryAgain):
            finished.run(STUDENT, max_minutes=0)
    last, previous = (finished.folder(STUDENT) / name for name in (CHECKPOINT, PREVIOUS))
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.raises(TryAgain) as caught:
        finished.run(STUDENT, max_minutes=0)

    assert "at epoch 0, step 3" in str(caught.value), "not from the second of three steps"
    last.unlink()
    previous.write_bytes(previous.read_bytes()[:-900])
    output = finished.run(STUDENT)

    assert f"{previous}: found " in output
    assert "the run begins anew" in output
    assert finished.files() == whole


def test_a_clock_that_is_set_back_is_noted(finished, monkeypatch):
    """A run that ends before it began says so; one that does not says nothing."""
    finished.run(STUDENT)
    before = json.loads(finished.record_file(STUDENT).read_text())["notes"]
    times = iter(["2026-05-02T00:00:00Z", "2025-05-02T00:00:00Z"])
    finished.undo(STUDENT)
    with monkeypatch.context() as patch:
        patch.setattr("kdbench.engine.environment.now", lambda: next(times))
        finished.run(STUDENT)

    record = json.loads(finished.record_file(STUDENT).read_text())
    note = "the clock was set back during the run: `finished` lies before `started`"
    assert record["notes"] == [*before, note]


def test_artifacts_have_the_mode_of_the_umask(finished):
    """Weights too, which safetensors makes for their owner alone."""
    finished.undo(STUDENT)
    older = os.umask(0o027)
    try:
        finished.run(STUDENT)
    finally:
        os.umask(older)
    files = [*finished.folder(STUDENT).iterdir(), finished.record_file(STUDENT)]

    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files} == {
        path.name: "0o640" for path in files
    }


def test_two_processes_that_start_a_run_at_once_do_it_once(finished, finished_once):
    """One does it; the other waits and finds it done."""
    finished.undo(STUDENT)
    began = time.time_ns()
    both = [finished.start(STUDENT) for _ in range(2)]
    ends = [process.communicate(timeout=200) for process in both]

    assert [process.returncode for process in both] == [0, 0], ends
    output = "".join(out for out, _ in ends)
    assert output.count("running") == 1
    assert output.count(": done") == 1
    assert finished.record_file(STUDENT).stat().st_mtime_ns > began
    assert finished.files() == finished_once.files()


@pytest.fixture
def small_disk(tmp_path):
    """Makes a project on a file system of so many KiB; only root can."""
    mounted = []

    def make(source, size):
        disk = tmp_path / "disk"
        disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)]
        if os.geteuid() or subprocess.run(words, capture_output=True).returncode:
            pytest.skip("needs root and mount")
        mounted.append(disk)
        return TinyProject(shutil.copytree(source.root, disk / "project"))

    yield make
    for disk in mounted:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("checkpoint", 0), pytest.param("weights", 1000, marks=pytest.mark.slow)],
)
def test_a_full_disk_is_one_line(finished, small_disk, moment, seconds):
    """It leaves no record and no half file, and with more room the run goes on."""
    finished.undo(STUDENT)
    used = sum(p.stat().st_size for p in finished.root.rglob("*") if p.is_file()) // 1024
    project = small_disk(finished, used + 700)
    with pytest.raises(UserError) as caught:
        project.run(STUDENT, checkpoint_seconds=seconds)

    folder = project.folder(STUDENT)
    assert str(caught.value).startswith(f"{folder}: no room left on the disk; free some space")
    assert "\n" not in str(caught.value)
    assert not project.record_file(STUDENT).exists()
    assert [p.name for p in folder.iterdir()] == []

    words = ["mount", "-o", f"remount,size={used + 20_000}k", str(project.root.parent)]
    subprocess.run(words, check=True)
    project.run(STUDENT)
    assert project.record_file(STUDENT).exists()
