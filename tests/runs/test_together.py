"""Several runs of one process at once: records and bytes are those of runs made alone."""

import json

import pytest
from forked import Forked
from tiny_project import SCALE, TEACHER, TinyProject, without_times

from kdbench.distill.kd import KD
from kdbench.errors import TryAgain
from kdbench.plan.graph import load_graph
from kdbench.runs.execute import Options, run_all
from kdbench.runs.together import _beside, run_together

METHODS = ["none", "kd", "distpro"]
KD_0 = "student/resnet56_resnet20_kd_s0"
# At a step of all lanes together.
KILLED = """
import os, signal
from kdbench.engine import fit
taken, plain = [], fit._take_step
def disturbed(*arguments):
    taken.append(1)
    if len(taken) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*arguments)
fit._take_step = disturbed
from kdbench.__main__ import main; main()
"""


def project(folder, **changes):
    """A tiny project of twelve runs."""
    return TinyProject(folder, methods_only=METHODS, **changes)


def made(plan, at_once=3, **options):
    """Make all runs at once; returns how many failed, and the lines that were printed."""
    lines = []
    runs = load_graph(plan.root).runs.values()
    given = Options(**{"say": lines.append, **options})
    return run_together(runs, plan.paths, given, at_once), lines


def records(plan):
    """All records but for times, by name; and of how many each was one."""
    found, together = {}, {}
    for file in (plan.root / "results/smoke/records").rglob("*.json"):
        record = json.loads(file.read_text())
        together[file.name] = record["cost"].pop("together", 1)
        record["metrics"].pop("latency", None)
        found[file.name] = without_times(record)
    return found, together


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """All runs, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_DEVICE", "cpu")
        plan = project(tmp_path_factory.mktemp("alone"))
        assert not run_all(load_graph(plan.root).runs.values(), plan.paths, Options(say=str))
    return plan


def test_runs_made_together_are_those_made_alone(tmp_path, alone):
    """Teachers, searches and students, byte for byte; records say how many shared the device."""
    plan = project(tmp_path)
    assert made(plan)[0] == 0

    assert plan.files() == alone.files()
    found, together = records(plan)
    assert found == records(alone)[0]
    students = [count for name, count in together.items() if "_s0" in name or "_s1" in name]
    assert len(students) == 6 and set(students) == {2, 3}
    assert set(records(alone)[1].values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("number", [10, 41, 47])
def test_lanes_that_are_killed_go_on_from_their_checkpoints(tmp_path, alone, number):
    """Together or alone, to the same bytes and records."""
    plan, settings = project(tmp_path), {"KDBENCH_CHECKPOINT_SECONDS": "0", "KDBENCH_DEVICE": "cpu"}
    words = ["run", "--all", "--together", "3"]
    killed = Forked(KILLED.format(number=number), words, plan.root, **settings)
    killed.communicate(timeout=300)
    assert killed.returncode == -9
    begun = list((plan.root / "results").rglob("checkpoint.pt"))
    assert len(begun) > 1

    assert made(plan, at_once=2)[0] == 0
    assert plan.files() == alone.files()
    assert records(plan)[0] == records(alone)[0]


@pytest.mark.slow
def test_all_stop_together_and_all_go_on(tmp_path, alone):
    """A time limit that is over stops each at its first step, with a checkpoint."""
    plan = project(tmp_path)
    plan.run(TEACHER)
    with pytest.raises(TryAgain, match="time limit"):
        made(plan, max_minutes=0)
    assert list((plan.root / "results").rglob("checkpoint.pt"))

    assert made(plan)[0] == 0
    assert plan.files() == alone.files()


def test_one_that_fails_leaves_the_others(tmp_path, alone, monkeypatch):
    """It is named, with what needs it."""
    plain = KD.forward

    def forward(self, student, teacher, batch, position):
        if position.epoch == 1:
            raise RuntimeError("no such thing")
        return plain(self, student, teacher, batch, position)

    monkeypatch.setattr(KD, "forward", forward)
    plan = project(tmp_path)
    failed, lines = made(plan)

    assert failed == 3  # two students and their evaluation
    assert sum("failed: RuntimeError: no such thing" in line for line in lines) == 2
    others = {name: bytes_ for name, bytes_ in alone.files().items() if "20_kd" not in name}
    assert {k: v for k, v in plan.files().items() if "20_kd" not in k} == others


@pytest.mark.slow
def test_a_damaged_teacher_is_mended(tmp_path, alone):
    """By the runs that read it, one after the other, when the others have ended."""
    plan = project(tmp_path)
    plan.run(TEACHER)
    weights = plan.folder(TEACHER) / "best.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")

    failed, lines = made(plan)
    assert failed == 0 and any("mending it" in line for line in lines)
    assert plan.files() == alone.files()


def test_only_runs_of_equal_settings_share_a_process(tmp_path):
    """Threads and formats are those of the process; what needs something else waits."""
    plan = project(tmp_path, scales={"smoke": {**SCALE, "teacher_threads": 2}})
    left = list(load_graph(plan.root).runs.values())[1:]  # all but the data set
    first = _beside(left)
    assert {run.phase for run in first} == {"teacher"}
    later = _beside([run for run in left if run not in first])
    assert {run.phase for run in later} == {"search", "student"}
    assert len({run.runtime for run in later}) == 1


def test_several_ranks_are_not_shared(tmp_path):
    """They make a run in processes of their own."""
    plan = project(tmp_path, scales={"smoke": {**SCALE, "ranks": 2}})
    assert not _beside(list(load_graph(plan.root).runs.values())[1:])
