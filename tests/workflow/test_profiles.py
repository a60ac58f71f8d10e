"""The profiles, as Snakemake reads them."""

from pathlib import Path

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser

from kdbench.workflow import slurm

PROFILES = Path(__file__).parents[2] / "profiles"
COMPUTING = ("teacher", "search", "student", "evaluation", "restore")
EVERYWHERE = ("keep-going", "show-failed-logs", "scheduler")


def read(name, tmp_path, edits=()):
    """A profile's settings, after edits of its text."""
    text = (PROFILES / name / "config.yaml").read_text()
    for before, after in edits:
        assert text.count(before) == 1
        text = text.replace(before, after)
    copy = tmp_path / "config.yaml"
    copy.write_text(text)
    with copy.open() as file:
        return dict(ProfileConfigFileParser().parse(file))


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    """No program of Slurm's is at hand."""
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("name", ["slurm", "kubernetes", "gpu-host"])
def test_in_every_profile_a_failure_costs_no_other_run(tmp_path, name):
    """As in the default one, with the same scheduler; its log is shown."""
    default = yaml.safe_load((PROFILES / "default/config.yaml").read_text())
    shown = {key: str(default[key]) for key in EVERYWHERE}

    profile = read(name, tmp_path)

    assert {key: str(profile[key]) for key in EVERYWHERE} == shown


def test_slurm_needs_no_edit_where_the_cluster_has_defaults(tmp_path):
    """No partition, no account, no type of GPU."""
    profile = read("slurm", tmp_path)

    assert profile["default-resources"] == ["runtime=60", "mem_mb=4000"]
    assert "set-resources" not in profile


def test_slurms_four_lines_reach_every_rule(tmp_path):
    """As text, whatever Python would make of the names."""
    edits = [
        ('cpu_partition = ""', 'cpu_partition = "all"'),
        ('gpu_partition = ""', 'gpu_partition = "gpu-long"'),
        ('account = ""', 'account = "007"'),
        ('gpu_type = ""', 'gpu_type = "a100"'),
    ]

    profile = read("slurm", tmp_path, edits)

    defaults = ["slurm_partition='all'", "slurm_account='007'"]
    assert profile["default-resources"][2:] == defaults
    of_gpu = ("gpu_model='a100'", "slurm_partition='gpu-long'")
    assert profile["set-resources"] == [f"{rule}:{one}" for rule in COMPUTING for one in of_gpu]


@pytest.mark.parametrize(
    ("shown", "command"),
    [
        ("AccountingStorageType   = accounting_storage/slurmdbd", "sacct"),
        ("AccountingStorageType   = accounting_storage/none", "squeue"),
        ("", "squeue"),
    ],
)
def test_jobs_are_asked_for_where_somebody_keeps_books(tmp_path, monkeypatch, shown, command):
    """`sacct` knows nothing without accounting, and Snakemake would wait for ever."""
    program = tmp_path / "scontrol"
    program.write_text(f"#!/bin/sh\necho 'ClusterName = x'\necho '{shown}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert slurm.status_command() == command


def test_a_host_runs_as_many_jobs_as_it_has_gpus(tmp_path, monkeypatch):
    """Those that it may use, each as often as runs may share it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,3")

    gpus, memory = read("gpu-host", tmp_path)["resources"]

    assert gpus == "gpu=3"
    assert memory.startswith("mem_mb=")
    monkeypatch.setenv("KDBENCH_RUNS_PER_GPU", "2")
    assert read("gpu-host", tmp_path)["resources"][0] == "gpu=6"


def test_a_type_of_gpu_reaches_the_command_that_submits_to_kubernetes(tmp_path):
    """As one word."""
    profile = read("kubernetes", tmp_path, [('gpu_type = ""', 'gpu_type = "kind=A 100"')])

    assert "'--gpu-type=kind=A 100'" in profile["cluster-generic-submit-cmd"]
    assert (PROFILES / "kubernetes/cancel").stat().st_mode & 0o111
    assert profile["cluster-generic-cancel-cmd"] == "profiles/kubernetes/cancel"
