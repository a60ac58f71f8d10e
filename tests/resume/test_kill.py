"""Jobs that are killed, stopped and started again end in the same bits as if nothing had been."""

import json
import random
import re
import shutil
import signal
import time

import pytest
from tiny_project import (
    EVALUATION,
    OTHER_STUDENT,
    SEARCH,
    STUDENT,
    TEACHER,
    TinyProject,
    without_times,
)

# How the package is changed in a process that is to be killed at one certain place.
DRIVER = """
import os, signal
import kdbench.runs.execute, kdbench.store.atomic as atomic
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
{patch}
from kdbench.cli import main
main()
"""
IN_THE_THIRD_SAVE = """
flush, saves = atomic.flush, []
def flush_or_die(file):
    saves.extend([file] * ("checkpoint" in file.name))
    die() if len(saves) == 3 else flush(file)
atomic.flush = flush_or_die
"""
BETWEEN_SEAL_AND_RECORD = "kdbench.runs.execute.write_record = die"
AFTER_THE_RECORD = """
kept = kdbench.runs.execute.write_record
kdbench.runs.execute.write_record = lambda *a: (kept(*a), die())
"""
KILLED = -signal.SIGKILL
STOPPED = 75


def signalled(project, name, saves, number=signal.SIGKILL):
    """Start the student's chain; send a signal once a run's checkpoint was written `saves` times.

    Returns:
        The exit code and what was printed.
    """
    process = project.start(STUDENT)
    file, seen = project.folder(name) / "checkpoint.pt", set()
    began = time.monotonic()
    while len(seen) < saves and process.poll() is None and time.monotonic() - began < 200:
        try:
            seen.add(file.stat().st_mtime_ns)
        except FileNotFoundError:
            time.sleep(0.001)
    process.send_signal(number)
    output, errors = process.communicate(timeout=200)
    return process.returncode, output + errors


@pytest.fixture(scope="module")
def whole(finished_once, tmp_path_factory):
    """A project whose runs were never interrupted, down to one student."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(finished_once.root, folder, dirs_exist_ok=True)
    project = TinyProject(folder)
    for name in (OTHER_STUDENT, EVALUATION):
        project.undo(name)
    return project


@pytest.fixture(scope="module")
def survivor(tmp_path_factory):
    """A project whose every run was interrupted, in every way; each process really ended so."""
    project = TinyProject(tmp_path_factory.mktemp("survivor"))

    code, output = project.command(STUDENT, "--max-minutes", "0")
    assert code == STOPPED, output
    assert "stopped (time limit of 0 minutes) at epoch 0, step 1; the same command" in output

    code, output = project.command(STUDENT, code=DRIVER.format(patch=IN_THE_THIRD_SAVE))
    assert code == KILLED, output
    assert "teacher cifar100 resnet56: continues at step 1 of 24" in output
    names = sorted(path.name for path in project.folder(TEACHER).iterdir())
    stems = [name.rpartition(".")[0] for name in names]
    assert stems == [".checkpoint.pt", "", "checkpoint.previous", "checkpoint"]

    code, output = signalled(project, SEARCH, saves=2)
    assert code == KILLED, output
    assert "teacher cifar100 resnet56: continues at step 3 of 24" in output

    code, output = signalled(project, STUDENT, saves=3, number=signal.SIGTERM)
    assert code == STOPPED, output
    # After the second of six saves, or at most two later: something is left to do.
    assert re.search("search cifar100 .*: continues at step [234] of 6", output), output
    assert "stopped (SIGTERM) at epoch" in output

    patch = BETWEEN_SEAL_AND_RECORD
    code, output = project.command(STUDENT, code=DRIVER.format(patch=patch))
    assert code == KILLED, output
    assert "student cifar100 resnet56_resnet20_distpro_s0: continues at step" in output
    assert (project.folder(STUDENT) / "artifacts.json").exists()
    assert not project.record_file(STUDENT).exists()

    code, output = project.command(STUDENT, code=DRIVER.format(patch=AFTER_THE_RECORD))
    assert code == KILLED, output
    assert (project.folder(STUDENT) / "checkpoint.pt").exists()

    code, output = project.command(STUDENT)
    assert code == 0, output
    assert "already done" in output
    return project


def test_a_killed_chain_ends_with_the_same_artifacts(whole, survivor):
    """Data, weights and the searched process have the same bytes, and no file is left over."""
    expected, resumed = whole.files(), survivor.files()

    assert sorted(resumed) == sorted(expected)
    assert [name for name in expected if resumed[name] != expected[name]] == []
    kinds = {name.rpartition("/")[2] for name in resumed}
    assert {"last.safetensors", "best.safetensors", "scheme.safetensors"} <= kinds
    assert not any("checkpoint" in kind or kind.startswith(".") for kind in kinds)


@pytest.mark.parametrize("name", ["data/cifar100", TEACHER, SEARCH, STUDENT])
def test_records_of_a_killed_chain_differ_in_times_and_memory_only(whole, survivor, name):
    """Metrics, curves, the process, steps and checksums are the same."""
    records = [json.loads(p.record_file(name).read_text()) for p in (whole, survivor)]

    assert without_times(records[0]) == without_times(records[1])
    assert len(list(survivor.record_file(name).parent.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_chain_killed_at_random_moments_ends_the_same(whole, tmp_path, seed):
    """SIGKILL after random delays, from its start on, changes no byte of the results."""
    rng, project = random.Random(seed), TinyProject(tmp_path)
    for _ in range(10):
        process = project.start(STUDENT)
        time.sleep(rng.uniform(0.5, 8.0))
        process.kill()
        process.communicate()
    code, output = project.command(STUDENT)

    assert code == 0, output
    assert project.files() == whole.files()
    for name in (TEACHER, SEARCH, STUDENT):
        records = [json.loads(p.record_file(name).read_text()) for p in (whole, project)]
        assert without_times(records[0]) == without_times(records[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [TEACHER, SEARCH, OTHER_STUDENT])
def test_a_run_of_one_step_per_call_ends_the_same(whole, tmp_path, name):
    """With --max-minutes 0 every call does one step, until the run is done."""
    other = TinyProject(tmp_path / "whole")
    shutil.copytree(whole.root, other.root, dirs_exist_ok=True)
    project = TinyProject(tmp_path / "steps")
    other.command(name, seconds="1000")
    calls = 0
    while project.command(name, "--max-minutes", "0")[0] == STOPPED:
        calls += 1

    assert calls >= 6
    assert project.files().items() <= other.files().items()
