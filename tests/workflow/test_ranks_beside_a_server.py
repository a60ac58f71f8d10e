"""Snakemake starts the ranks of a run while its server does other jobs."""

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from small_project import TINY, new_project

PLACE = {"exhibits": ["ours/ranks"], "datasets": ["imagenet"], "pairs": [], "methods_only": []}
# Long enough for torchrun and the other student to be seen at work side by side.
SCALE = {**TINY, "batch": 8, "steps_per_epoch": 8}


def is_torchrun(words):
    """Whether a command line is that of torchrun, not of a shell that starts it."""
    return any(Path(word).name == "torchrun" for word in words[:2])


def at_work(snakemake):
    """The processes that are alive: torchrun's own, its ranks, and those of the server's jobs."""
    launchers, ranks, served = set(), set(), set()
    for process in snakemake.children(recursive=True):
        try:
            parent = process.parent()
            words, own = parent.cmdline(), process.cmdline()
        except (psutil.Error, AttributeError):
            continue  # it ended as we looked
        if is_torchrun(words):
            ranks.add(process.pid)
        elif is_torchrun(own):
            launchers.add(process.pid)
        elif "kdbench.cli.server" in words and parent.ppid() == snakemake.pid:
            served.add(process.pid)
    return launchers, ranks, served


@pytest.mark.slow
def test_two_ranks_run_while_the_server_does_another_job(tmp_path):
    """The shared student has processes of its own; all others are the server's."""
    project = new_project(tmp_path / "project", scale="smoke", scales={"smoke": SCALE}, **PLACE)
    log = tmp_path / "log"
    with log.open("w") as file:
        snakemake = subprocess.Popen(
            ["snakemake", "--cores", "3", "reproduce_all"],
            cwd=project.root,
            env={**project.environment(), "KDBENCH_CHECKPOINT_SECONDS": "0"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    ranks, together = set(), False
    while snakemake.poll() is None:
        launchers, now, jobs = at_work(psutil.Process(snakemake.pid))
        ranks |= now
        together = together or bool(launchers and jobs)
        time.sleep(0.05)

    assert snakemake.returncode == 0, log.read_text()
    assert together, log.read_text()
    assert len(ranks) == 2
    found = {
        file.name.partition(".")[0]: json.loads(file.read_text())
        for file in project.root.glob("results/smoke/records/student/imagenet/*.json")
    }
    assert {name: one["provenance"]["ranks"] for name, one in found.items()} == {
        "resnet34_resnet18_reviewkd_imagenet_s0": 1,
        "resnet34_resnet18_reviewkd_imagenet-ranks-2_s0": 2,
    }
    table = (project.root / "reports/smoke/tables/ours-ranks.md").read_text()
    assert "1 rank" in table and "2 ranks" in table
