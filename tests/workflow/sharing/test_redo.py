"""`kdbench redo` keeps the older run until the new one is whole, and compares both."""

import json
import signal
import time

import pytest
from forked import COMMAND, Forked
from tiny_project import OTHER_STUDENT, STUDENT

from kdbench.errors import TryAgain, UserError
from kdbench.plan.graph import load_graph
from kdbench.store.artifacts import checked, seal
from kdbench.store.record import read_intact, write_record
from kdbench.workflow.redo import lines, redo

KD = "student/resnet56_resnet20_kd_s0"
TEACHER = "teacher/resnet56"


def maker(top1=70.0, weights="new weights"):
    """Makes a run with made-up weights and accuracy."""

    def make(run, paths):
        if paths.record(run).is_file():
            return
        folder = paths.artifacts(run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.safetensors").write_text(weights)
        content = json.loads(make.older)
        content.pop("seal")
        content["metrics"]["best"]["top1"] = top1
        content["artifacts"] = seal(folder)
        write_record(paths.record(run), content)

    return make


@pytest.fixture(name="finished_study")
def finished_study_fixture(study):
    """A finished study."""
    return study("project").finish()


def redone(study, name, make):
    """Redo a run of a study; the outcome in lines."""
    run = study.run(name)
    make.older = study.paths.record(run).read_text()
    return "\n".join(lines(run, redo(run, study.graph, study.paths, make)))


def test_the_new_run_takes_the_place_of_the_older(finished_study):
    """Record and artifacts fit each other, and nothing is left beside them."""
    study, run = finished_study, finished_study.run(KD)
    answer = redone(study, KD, maker(top1=71.5))

    record = read_intact(study.paths.record(run))
    assert record["metrics"]["best"]["top1"] == 71.5
    assert checked(study.paths.artifacts(run)) == record["artifacts"]
    assert (study.paths.artifacts(run) / "last.safetensors").read_text() == "new weights"
    assert "other numbers" in answer and "metrics.best.top1: 70.0 -> 71.5" in answer
    assert not [f for f in study.root.glob("results/smoke/redo/**/*") if f.is_file()]


def test_equal_bits_are_said(finished_study):
    """Where nothing differs, no reader has to be made again."""
    study, run = finished_study, finished_study.run(TEACHER)
    weights = (study.paths.artifacts(run) / "last.safetensors").read_text()
    answer = redone(study, TEACHER, maker(weights=weights))

    assert answer == f"{run.title}: made again, the same numbers, to the last bit"


def test_runs_that_read_the_older_artifacts_are_named(finished_study):
    """The students of a teacher whose weights are other ones now."""
    answer = redone(finished_study, TEACHER, maker())
    student = finished_study.run(KD)

    assert f"read the older artifacts: {student.title} ({student.digest})" in answer
    assert "kdbench redo " in answer.splitlines()[-1]


def test_a_run_that_is_stopped_leaves_the_older_one_intact(finished_study):
    """Whatever it had written lies aside, and the same command goes on from there."""
    study, run = finished_study, finished_study.run(KD)
    before = {k: v for k, v in study.files().items() if "/redo/" not in k}

    def stopped(run, paths):
        folder = paths.artifacts(run)
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").write_text("half-way")
        raise TryAgain("stopped")

    with pytest.raises(TryAgain):
        redone(study, KD, stopped)

    assert {k: v for k, v in study.files().items() if "/redo/" not in k} == before
    (checkpoint,) = study.root.glob("results/smoke/redo/**/checkpoint.pt")
    assert run.digest in checkpoint.parent.name


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_call_killed_while_it_swaps_goes_on(finished_study, monkeypatch, moved):
    """After any of its renames: the older record is intact, and a second call ends the swap."""
    study, run = finished_study, finished_study.run(KD)
    older = study.paths.record(run).read_bytes()
    replace, count = type(study.root).replace, [0]

    class Killed(BaseException):
        pass

    def dying(path, target):
        if "/redo/" in str(path) and "records" not in str(path):
            if count[0] == moved:
                raise Killed
            count[0] += 1
        elif "/redo/" in str(path) and moved == 2:
            raise Killed
        return replace(path, target)

    make = maker(top1=71.5)
    with monkeypatch.context() as patch:
        make.older = older.decode()
        record = study.paths.record(run)

        def make_first(run, paths):
            make(run, paths)
            patch.setattr(type(study.root), "replace", dying)

        with pytest.raises(Killed):
            redo(run, study.graph, study.paths, make_first)
    assert record.read_bytes() == older

    redone(study, KD, make)
    assert read_intact(record)["metrics"]["best"]["top1"] == 71.5
    assert checked(study.paths.artifacts(run)) == read_intact(record)["artifacts"]


def test_a_run_that_is_not_done_cannot_be_redone(study):
    """The line says how to make it."""
    empty = study("project")
    run = empty.run(KD)
    with pytest.raises(UserError, match="nothing to redo; kdbench run"):
        redo(run, empty.graph, empty.paths, maker())


def test_a_killed_process_leaves_the_older_record_and_a_second_call_gives_the_same_bits(finished):
    """A real training, killed at its first checkpoint, and again to its end."""
    record, folder = finished.record_file(STUDENT), finished.folder(STUDENT)
    before = record.read_bytes(), finished.files()
    settings = {"KDBENCH_CHECKPOINT_SECONDS": "0", "KDBENCH_DEVICE": "cpu"}

    def start():
        return Forked(COMMAND, ["redo", STUDENT], finished.root, **settings)

    process = start()
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if list(finished.root.glob("results/smoke/redo/**/checkpoint.pt")):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (record.read_bytes(), finished.files()) == before

    process = start()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    assert "the same numbers, to the last bit" in output
    assert checked(folder) == read_intact(record)["artifacts"]
    assert record.read_bytes() != before[0]  # its clock
    other = load_graph(finished.root).run(OTHER_STUDENT)
    assert finished.paths.record(other).is_file()
