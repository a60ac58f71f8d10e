"""What Snakemake does with finished records under any profile, and with calls that ended badly.

Jobs are never run here: runs are finished by hand, and the plan says what would be made.
"""

import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import pytest
from filelock import FileLock
from handmade import LITE, SMOKE, contents, finish

from kdbench.workflow.calls import _to_its_end

BARE = ("snakemake", "--cores", "1", "--workflow-profile", "none", "reproduce_all")
NOTHING = "Nothing to be done"


@pytest.fixture(scope="module", params=["lite", "smoke"])
def finished_once(request, make_project, tmp_path_factory):
    """A project with all runs of a scale finished; never changed."""
    parameters = {"lite": LITE, "smoke": SMOKE}[request.param]
    project = make_project(tmp_path_factory.mktemp("finished") / "project", **parameters)
    finish(project)
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of it."""
    return finished_once.copy(tmp_path / "project")


def record(project, phase):
    """The record of the phase's first run."""
    return min(project.root.glob(f"results/*/records/{phase}/cifar100/*.json"))


def planned(project, *words):
    """What Snakemake would do: the names of the rules, of which each stands in one line a job."""
    output = project(*BARE, "--dry-run", *words)
    return "" if NOTHING in output else re.findall(r"^(?:local)?rule (\w+):", output, re.M)


@pytest.mark.slow
def test_no_profile_and_no_option_plans_a_finished_run(finished):
    """A changed rule, a changed parameter and the mark of a killed job make nothing again."""
    rule = finished.root / "rules/evaluation.smk"
    first = finished(*BARE, "--touch")  # Snakemake takes note of rules and parameters
    assert "reproduce_all" in first or NOTHING in first
    rule.write_text(rule.read_text().replace("> {log}", " > {log}").replace("4000", "4001"))
    name = str(record(finished, "student").relative_to(finished.root))
    mark = finished.root / ".snakemake/incomplete" / b64encode(name.encode()).decode()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    before = finished.records()

    for words in ([], ["--rerun-incomplete"], ["--rerun-triggers", "code", "params", "input"]):
        assert planned(finished, *words) == "", words
    assert NOTHING in finished(*BARE)
    assert finished.records() == before


@pytest.mark.slow
def test_a_forced_job_deletes_no_record(finished):
    """Snakemake deletes a forced job's output before it runs; a finished record stays."""
    records = finished.root / "results"
    before = contents(records, "*.json")

    finished(*BARE, "--forcerun", "student", "evaluation", check=False)

    assert contents(records, "*.json") == before


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["evaluation", "student"])
def test_a_deleted_record_is_made_again(finished, phase):
    """The plan holds the run and the report, though the report is there already."""
    record(finished, phase).unlink()

    assert sorted(set(planned(finished))) == sorted({phase, "report", "reproduce_all"})


@pytest.mark.slow
def test_a_second_call_is_one_line_and_the_lock_of_a_killed_one_is_none(finished):
    """Two calls at one scale do not meet, and Snakemake's own lock of a killed call is no lock."""
    record(finished, "evaluation").unlink()
    scale = next((finished.root / "results").iterdir()).name
    lock = finished.root / f".snakemake/kdbench-{scale}.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        output = finished("snakemake", "--cores", "1", "reproduce_all", check=False)
    assert "Traceback" not in output
    assert output.splitlines()[-1].startswith(
        f"kdbench: another Snakemake is running in this folder at scale {scale}; wait until "
    )

    locks = finished.root / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    names = finished.root.glob("results/*/records/**/*.json")
    (locks / "0.output.lock").write_text(
        "\n".join(str(p.relative_to(finished.root)) for p in names)
    )
    assert "cannot be locked" not in finished(*BARE, "--until", "data")


SLOW_TO_END = """
import pathlib, signal, time
def end(number, frame):
    time.sleep(1)
    pathlib.Path("ended").touch()
    raise SystemExit(3)
signal.signal(signal.SIGINT, end)
pathlib.Path("started").touch()
time.sleep(60)
"""


def test_ctrl_c_waits_for_snakemake_to_end(tmp_path):
    """A program that takes a second to stop is not killed; its exit code comes back."""
    call = (
        "import signal, sys; from pathlib import Path; "
        "from kdbench.workflow.calls import _to_its_end; "
        # Who started the tests in the background has Ctrl-C ignored, and so nothing to survive.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"sys.exit(_to_its_end([sys.executable, '-c', {SLOW_TO_END!r}], Path()))"
    )
    path = f"{Path(__file__).parents[2]}"
    process = subprocess.Popen(
        [sys.executable, "-c", call],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # a group of its own, as a terminal has
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(timeout=60) == 3
    assert (tmp_path / "ended").exists()


def test_signals_are_as_before_after_a_call(tmp_path):
    """The program's own handling of Ctrl-C comes back."""
    before = signal.getsignal(signal.SIGINT)

    assert _to_its_end([sys.executable, "-c", "raise SystemExit(5)"], tmp_path) == 5
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("directive", "looked"), [("", False), ('conda: "env.yaml"', True)])
def test_conda_environments_are_looked_for_where_a_rule_names_one(tmp_path, directive, looked):
    """Ours name none, so the parameters of thousands of jobs are not evaluated for it."""
    (tmp_path / "env.yaml").write_text("channels: [conda-forge]\ndependencies: [python]\n")
    (tmp_path / "Snakefile").write_text(
        "from kdbench.workflow.protection import protect\n"
        'protect(workflow, "smoke")\n'
        f'rule job:\n    output: "made"\n    {directive}\n    shell: "touch {{output}}"\n'
    )
    words = ["snakemake", "--cores", "1", "--dry-run", "--sdm", "conda"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    output = done.stdout + done.stderr

    assert any(said in output for said in ("conda info", "Conda environment")) == looked, output
    assert looked or done.returncode == 0, output
