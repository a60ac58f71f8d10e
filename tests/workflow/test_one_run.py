"""`kdbench status NAME`, and which runs are at work."""

import pytest
from filelock import FileLock

from kdbench.store.paths import Paths
from kdbench.store.record import write_record
from kdbench.workflow.one_run import at_work, describe_run, last_line

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


def test_a_locked_folder_is_at_work_and_says_how_far(graph, tmp_path):
    """The last line of its log; a folder whose lock nobody holds is not."""
    paths, run = Paths(tmp_path), graph.run(KD)
    other = graph.run("student/resnet20_none_s0")
    for one in (run, other):
        paths.artifacts(one).mkdir(parents=True)
        (paths.artifacts(one) / ".lock").touch()
    paths.log(run).parent.mkdir(parents=True)
    paths.log(run).write_text("running\nstep 40 of 320, 3.1 min left\n\n")
    with FileLock(paths.artifacts(run) / ".lock"):
        assert list(at_work(graph, paths)) == [(run, "step 40 of 320, 3.1 min left")]
        assert "at work now: step 40 of 320" in next(describe_run(run, graph, paths))

    assert list(at_work(graph, paths)) == []


def test_a_long_log_is_read_from_its_end(tmp_path):
    """And one without text says nothing."""
    log = tmp_path / "a.log"
    log.write_text("first\n" * 10_000 + "last\n")

    assert last_line(log) == "last"
    log.write_text("\n\n")
    assert last_line(log) == ""
    assert last_line(tmp_path / "none") == ""
