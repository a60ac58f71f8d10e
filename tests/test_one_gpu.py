"""The script for a lent machine, on a CPU at scale smoke."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_project import SCALE, TEACHER, TinyProject

from kdbench.store.paths import CHECKPOINT

HERE = Path(__file__).parents[1]
SCRIPT = HERE / "benchmarks/one_gpu.sh"
pytestmark = pytest.mark.slow
# A teacher that no machine finishes while these tests look.
LONG = {"smoke": {**SCALE, "teacher_epochs": 10_000}}


def start(out, project, minutes):
    """The script, on one pair of small networks, as a process group of its own."""
    settings = {
        "SCALE": "smoke",
        "PAIR": "resnet56:resnet20",
        "KDBENCH_DEVICE": "cpu",
        "KDBENCH_CHECKPOINT_SECONDS": "0",
        "PACK_SECONDS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.Popen(
        [SCRIPT, "paper", out, str(minutes), project],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )


def unpacked(folder, home):
    """A project at home, with what came back."""
    command = [sys.executable, HERE / "benchmarks/slices.py", "unpack", folder, home]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(HERE)}, check=True)
    return TinyProject(home, scales=LONG)


def step_of(project):
    """Steps that the teacher's checkpoint has behind it."""
    import torch

    content = torch.load(project.folder(TEACHER) / CHECKPOINT, weights_only=True)
    return content["epoch"] * SCALE["steps_per_epoch"] + content["step"]


def wait_for_steps(out, home, more_than=0):
    """Until a teacher with more steps than these has come back; returns its steps."""
    end = time.monotonic() + 500
    while time.monotonic() < end:
        time.sleep(1)
        if list(out.glob("runs-*.tar")) and (steps := step_of(unpacked(out, home))) > more_than:
            return steps
    raise AssertionError((out / "log.txt").read_text())


def test_the_end_of_the_time_is_no_failure(tmp_path):
    """Also of a part of a minute, in which nothing but the start was done."""
    process = start(tmp_path / "out", tmp_path / "project", minutes=0.02)
    lines, _ = process.communicate()

    assert process.returncode == 0, lines
    assert (tmp_path / "out/log.txt").read_text() == lines
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"log.txt", "records.tar"}
    assert (tmp_path / "project/params.yaml").read_text() == (HERE / "params.yaml").read_text()


def test_a_machine_that_is_taken_away_loses_little(tmp_path):
    """Asked to end, all is packed; the next call goes on from it; what a kill leaves is whole."""
    project, out = TinyProject(tmp_path / "project", scales=LONG), tmp_path / "out"
    process = start(out, project.root, minutes=60)
    try:
        wait_for_steps(out, tmp_path / "home")
        process.send_signal(signal.SIGTERM)
        lines, _ = process.communicate()
    finally:
        end(process)
    home = unpacked(out, tmp_path / "home")
    steps = step_of(home)

    assert process.returncode == 143, lines
    assert step_of(project) == steps > 0
    assert json.loads(home.record_file("data/cifar100").read_text())
    assert sorted(file.name for file in out.glob("*")) == ["log.txt", "records.tar", "runs-0.tar"]

    again, out = TinyProject(tmp_path / "again", scales=LONG), tmp_path / "out2"
    for file in (tmp_path / "out").glob("*.tar"):
        file.rename(again.root / file.name)
    process = start(out, again.root, minutes=60)
    try:
        more = wait_for_steps(out, tmp_path / "later", steps)
    finally:
        end(process)

    assert not list(again.root.glob("*.tar"))
    assert step_of(unpacked(out, tmp_path / "last")) >= more


def end(process):
    """End the script and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
