"""`kdbench status NAME`, and which runs are at work."""

import os
import platform
import time

import pytest
from filelock import FileLock

from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.store.running import Running, write_running
from kdbench.workflow.one_run import at_work, describe_run

KD = "student/resnet56_resnet20_kd_s0"


@pytest.fixture(name="graph")
def small_plan(planned):
    """One pair of DistPro's Table 1."""
    return planned(pairs=["resnet56:resnet20"], methods_only=["none", "kd"], methods={})


def test_a_run_says_what_it_reads_and_which_command_makes_it(graph, tmp_path):
    """Its teacher is done but its artifacts are not here; the command has the plan's options."""
    paths, run = Paths(tmp_path), graph.run(KD)
    teacher = graph.run("teacher/resnet56")
    content = {"spec": teacher.as_dict(), "provenance": {"code": "another"}}
    write_record(paths.record(teacher), content)
    lines = list(describe_run(run, graph, paths))
    text = "\n".join(lines)

    assert lines[0] == f"{run.digest}  student cifar100 resnet56_resnet20_kd_s0: to do"
    assert (
        f"reads teacher: {teacher.title} ({teacher.digest}), done, by older code, its art" in text
    )
    assert "behind: distpro/table1" in text
    assert f"kdbench run {run.digest} --scale smoke --override '" in lines[-1]
    assert '"pairs": ["resnet56:resnet20"]' in lines[-1]


def test_a_training_says_how_far_it_is(graph, tmp_path):
    """As `kdbench watch` says it; the file of a killed process is told to be silent or stopped."""
    paths, run = Paths(tmp_path), graph.run(KD)
    now = time.time()
    facts = {"digest": run.digest, "phase": run.phase, "dataset": run.dataset, "cell": run.cell}
    process = {"host": platform.node(), "pid": os.getpid(), "device": "cpu"}
    clock = {"started": now - 40, "updated": now, "begun": 0, "done": 40, "total": 320}
    write_running(paths.running(run), Running(**facts, **process, **clock, curves={}))

    ((one, text),) = at_work(graph, paths)
    assert one == run
    assert text == "12.5 %, step 40 of 320, 1,000 ms per step, 4.7 min left"
    assert "at work now: 12.5 %" in next(describe_run(run, graph, paths))


def test_a_locked_folder_is_at_work(graph, tmp_path):
    """A folder whose lock nobody holds is not."""
    paths, run = Paths(tmp_path), graph.run(KD)
    other = graph.run("student/resnet20_none_s0")
    for one in (run, other):
        paths.artifacts(one).mkdir(parents=True)
        (paths.artifacts(one) / ".lock").touch()
    with FileLock(paths.artifacts(run) / ".lock"):
        assert list(at_work(graph, paths)) == [(run, "its folder is locked")]

    assert list(at_work(graph, paths)) == []
