"""Jobs that a server's processes do: alike to the bit, and alone in all that befalls them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from sampling import sampled
from servers import a_server
from tiny_project import SEARCH, STUDENT, TEACHER, TinyProject, without_times

from kdbench.cli.server import PACKAGE
from kdbench.workflow import snakemake
from kdbench.workflow.served import SERVER

STOPPED = 75
KILLED = 128 + signal.SIGKILL


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests that do it no harm."""
    with a_server(tmp_path_factory.mktemp("server")) as (_, environment):
        yield environment


def client(project, environment, *words):
    """Start `kdbench run` as Snakemake does."""
    return subprocess.Popen(
        [sys.executable, "-m", "kdbench", "run", *words],
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process):
    """Exit code, standard output and standard error of a client."""
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def made_in(project):
    """Folders with weights or a scheme."""
    return {file.parent for file in (project.root / "results").rglob("*.safetensors")}


def wait_for(what, seconds=120):
    """Until it is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    "chain", [(TEACHER,), pytest.param((TEACHER, SEARCH, STUDENT), marks=pytest.mark.slow)]
)
def test_a_served_run_has_the_bits_and_the_record_of_one_alone(
    server, finished_once, tmp_path, chain
):
    """The client imports no torch; what it prints is what the run prints, as it comes."""
    served, alone = TinyProject(tmp_path / "served"), finished_once
    code, output, errors = outcome(client(served, server, chain[-1]))
    assert code == 0, errors

    assert served.files().items() <= alone.files().items()
    assert {served.folder(name) for name in chain} <= made_in(served)
    for name in chain:
        one, other = (json.loads(p.record_file(name).read_text()) for p in (served, alone))
        assert without_times(one) == without_times(other)
    phase, _, cell = chain[-1].partition("/")
    assert output.splitlines()[-1] == f"{phase} cifar100 {cell}: done"


def test_a_mistake_of_the_user_s_is_one_line_and_the_exit_code(server, tmp_path):
    """As without a server; the server goes on."""
    code, output, errors = outcome(client(TinyProject(tmp_path), server, "nonsense"))

    assert (code, output) == (2, "") and errors.startswith("kdbench: params.yaml at scale smoke")


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGINT], [signal.SIGTERM]))
def test_a_client_that_is_asked_to_stop_hands_it_on(server, tmp_path, number):
    """The run saves a checkpoint, and the client waits for its exit code."""
    project = TinyProject(tmp_path)
    process = client(project, server, STUDENT)
    wait_for((project.folder(TEACHER) / "checkpoint.pt").exists)
    process.send_signal(number)
    code, _, errors = outcome(process)

    assert code == STOPPED and f"stopped ({number.name}) at epoch" in errors


def test_a_run_whose_client_is_gone_stops_with_a_checkpoint(server, tmp_path):
    """Nothing goes on behind the back of a Snakemake that was killed."""
    project = TinyProject(tmp_path)
    process = client(project, server, STUDENT)
    folder = project.folder(TEACHER)
    wait_for((folder / "checkpoint.pt").exists)
    process.kill()
    process.communicate()
    wait_for(lambda: not (folder / ".lock").exists())  # there as long as the run's process is

    assert (folder / "checkpoint.pt").exists() and not project.record_file(TEACHER).exists()


@pytest.mark.slow
def test_a_run_that_is_killed_costs_its_client_alone(tmp_path):
    """One line says so, and the next run is served."""
    project = TinyProject(tmp_path / "project")
    with a_server(tmp_path) as (process, environment):
        killed = client(project, environment, STUDENT)
        wait_for((project.folder(TEACHER) / "checkpoint.pt").exists)
        (run,) = psutil.Process(process.pid).children()
        run.kill()
        code, _, errors = outcome(killed)
        again = outcome(client(project, environment, TEACHER))

    assert (code, errors) == (KILLED, "kdbench: the run's process was killed\n")
    assert again[0] == 0 and "continues at step" in again[1]


@pytest.mark.slow
def test_code_that_was_edited_is_not_served(tmp_path):
    """A record names the code on the disk, so the client does the run itself."""
    package = tmp_path / "copy" / "kdbench"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    project = TinyProject(tmp_path / "project")
    with a_server(tmp_path, package) as (_, environment):
        served = outcome(client(project, environment, "data/cifar100"))
        console = package / "console.py"
        edited = console.read_text().replace("print(text", 'print("edited:", text')
        console.write_text(edited)
        itself = outcome(client(project, environment, "data/cifar100"))

    assert served[0] == itself[0] == 0
    assert served[1].startswith("data") and itself[1].startswith("edited: data")


@pytest.mark.slow
def test_without_a_server_the_client_does_the_run_itself(tmp_path):
    """As a job on another machine, or one that outlives its Snakemake."""
    project = TinyProject(tmp_path)
    environment = {**os.environ, SERVER: str(tmp_path / "gone"), "KDBENCH_DEVICE": "cpu"}
    code, output, _ = outcome(client(project, environment, "data/cifar100"))

    assert code == 0 and output.endswith("done\n")


@pytest.mark.parametrize(
    ("scale", "local", "serves"), [("smoke", True, 1), ("smoke", False, 0), ("lite", True, 0)]
)
def test_only_short_runs_on_this_machine_are_served(monkeypatch, tmp_path, scale, local, serves):
    """Long ones gain nothing, and a cluster's jobs run elsewhere."""
    started = []
    monkeypatch.setattr(snakemake, "serve_from", started.append)
    TinyProject(tmp_path)
    snakemake.Workflow({"scale": scale}, tmp_path).start(local)

    stated = {} if scale == "smoke" else {"scale": scale}  # smoke is params.yaml's own
    assert started == [stated] * serves


def test_the_client_imports_nothing_that_is_slow():
    """Or it would start as slowly as the run itself."""
    program = "import sys, kdbench.workflow.served; print(len(sys.modules), 'typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    modules, slow = done.stdout.split()

    assert int(modules) < 150 and slow == "False", done.stderr
