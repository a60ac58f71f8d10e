"""Ctrl-C at any moment of a real `dvc repro`: it ends by itself, loses nothing, and goes on."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from handmade import contents
from servers import a_server
from tiny_project import without_times

from kdbench.store.paths import CHECKPOINTS
from kdbench.workflow.served import SERVER

LIMIT = 400  # seconds that any of it may take
ARTIFACTS = "results/lite/artifacts"


@pytest.fixture(scope="module")
def empty(make_project, tmp_path_factory):
    """A project without any run, whose jobs one server does; never changed."""
    alone = make_project(tmp_path_factory.mktemp("empty") / "project", methods_only=["none", "kd"])
    with a_server(tmp_path_factory.mktemp("server"), alone.root / "kdbench") as (_, environment):
        yield replace(alone, server=environment[SERVER])


@pytest.fixture(scope="module")
def undisturbed(empty, tmp_path_factory):
    """A copy after all of its runs, made one after the other."""
    project = empty.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    project("kdbench", "run", "--all")
    return project


def start(project):
    """`dvc repro` in a process group of its own, as a terminal gives it."""
    # Who started the tests in the background has Ctrl-C ignored, and so nothing to survive.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (project.root / "output.txt").open("wb") as output:
            return subprocess.Popen(
                ("dvc", "repro"),
                cwd=project.root,
                env={**project.environment(), "KDBENCH_CHECKPOINT_SECONDS": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(project, pattern, process):
    """Until a file of that kind is there, or the command has ended."""
    deadline = time.monotonic() + LIMIT
    while not list(project.root.glob(pattern)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(group):
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def results(project):
    """Records but for times, and every artifact, by name."""
    records = {
        name: without_times(json.loads(content)) for name, (_, content) in project.records().items()
    }
    for record in records.values():
        record["metrics"].pop("latency", None)
    return records, contents(project.root / ARTIFACTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("phase", ["teacher", "student"])
def test_dvc_repro_ends_cleanly_at_ctrl_c_and_the_next_ends_with_the_same(
    empty, undisturbed, tmp_path, phase
):
    """Finished records stay, no process and no lock, and the end is that of an undisturbed call."""
    project = empty.copy(tmp_path / "project")
    process = start(project)
    wait_for(project, f"{ARTIFACTS}/{phase}/*/*/checkpoint.pt", process)
    os.killpg(process.pid, signal.SIGINT)
    code = process.wait(LIMIT)
    output = (project.root / "output.txt").read_text()

    assert code > 0, output
    assert "Traceback" not in output
    assert not alive(process.pid)
    before = project.records()

    output = project("dvc", "repro")

    assert "unlock" not in output and "Traceback" not in output
    after = project.records()
    assert {name: after[name] for name in before} == before
    records, artifacts = results(project)
    assert (records, artifacts) == results(undisturbed)
    assert not [name for name in artifacts if name.endswith(CHECKPOINTS)]
    assert "Data and pipelines are up to date" in project("dvc", "status")
