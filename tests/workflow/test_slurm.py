"""profiles/slurm on a real Slurm of one node."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import psutil
import pytest
import yaml
from slurm_cluster import GPUS, absent, running_slurm, until
from small_project import TINY, new_project
from tiny_project import without_times

from kdbench.store.record import read_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

METHODS = ["none", "kd", "at", "sp"]
PAIR = "resnet56_resnet20"
STUDENTS = {"none": "resnet20_none_s0"} | {m: f"{PAIR}_{m}_s0" for m in METHODS[1:]}
EDITS = {
    'cpu_partition = ""': 'cpu_partition = "cpu"',
    'gpu_partition = ""': 'gpu_partition = "gpu"',
    'gpu_type = ""': 'gpu_type = "faked"',
}
QUICK = ("--latency-wait", "20", "--slurm-init-seconds-before-status-checks", "2")


@pytest.fixture(scope="module")
def slurm():
    """A cluster of one node with four GPUs."""
    if lacking := absent():
        pytest.skip(f"a Slurm of one node needs what is not here: {lacking}")
    with running_slurm() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, slurm):
    """A table made on this machine, which nothing disturbed; the profile is edited."""
    long_enough = {**TINY, "student_epochs": 2, "steps_per_epoch": 30}
    table = {"id": "few", "pairs": ["resnet56:resnet20"], "methods": METHODS, "seeds": 1}
    project = new_project(
        tmp_path_factory.mktemp("slurm") / "project",
        exhibits=["own"],
        methods_only=[],
        tables=[table],
        scales={"lite": long_enough},
    )
    profile = project.root / "profiles/slurm/config.yaml"
    text = profile.read_text()
    for before, after in EDITS.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    profile.write_text(text)
    project.snakemake()
    return project


@pytest.fixture
def begun(undisturbed, tmp_path):
    """The same table with its students still to be made."""
    project = undisturbed.copy(tmp_path / "project")
    for phase in ("student", "evaluation", "report"):
        for folder in project.root.glob(f"results/lite/*/{phase}"):
            shutil.rmtree(folder)
    shutil.rmtree(project.root / "reports")
    return project


class Call:
    """One call of Snakemake on the cluster, while it goes on."""

    def __init__(self, slurm, project, *words):
        self.log = project.root / "snakemake.log"
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
        environment = {**project.environment(), "KDBENCH_CHECKPOINT_SECONDS": "0"}
        environment |= {k: slurm.environment[k] for k in ("SLURM_CONF",)}
        environment["PATH"] = f"{slurm.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "reproduce_all", *QUICK, *words],
                cwd=project.root,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, seconds=900):
        """Wait for it; returns its exit code and what it printed."""
        code = self.process.wait(seconds)
        return code, self.log.read_text()

    def kill(self):
        """Make sure that it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def call(slurm):
    """Start calls of Snakemake, which end with the test."""
    calls = []

    def start(*words):
        calls.append(Call(slurm, *words))
        return calls[-1]

    yield start
    for one in calls:
        one.kill()
    subprocess.run(["scancel", "--user", "root"], env=slurm.environment, check=True)


def results(project, phase):
    """Records, without clocks, and weights of a phase, by the name of their file or folder."""
    root = project.root / "results/lite"
    records = (root / "records" / phase).rglob("*.json")
    weights = (root / "artifacts" / phase).rglob("*.safetensors")
    return {p.name: without_times(read_record(p)) for p in records} | {
        f"{p.parent.name}/{p.name}": p.read_bytes() for p in weights
    }


def job_of(jobs, method):
    """The number of the job that makes a method's student."""
    return next((number for name, number in jobs.items() if f"_{STUDENTS[method]}_" in name), None)


def freeze(project, method):
    """Stop a student's process once it has a checkpoint; Slurm's signals wake it up."""
    folder, *_ = until(lambda: list(folders(project, method, "checkpoint*")), 600)
    digest = folder.parent.name.rpartition(".")[2]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if digest in words and "run" in words and "-c" not in words:
            process.send_signal(signal.SIGSTOP)
    return folder


def folders(project, method, pattern):
    """Files in the folder of a student's artifacts."""
    return (project.root / "results/lite/artifacts/student/cifar100").glob(
        f"{STUDENTS[method]}.*/{pattern}"
    )


def log_of(project, method):
    """What the last attempt of a student printed."""
    (file,) = (project.root / "results/lite/logs/student/cifar100").glob(f"{STUDENTS[method]}.*")
    return file.read_text()


def test_every_fault_of_a_cluster_ends_in_the_same_bits(slurm, undisturbed, begun, call):
    """`scancel`, a time limit, a requeue, a node that goes down; each job has a GPU of its own."""
    snakemake = call(begun, "--resources", "gpu=1")  # of this machine, not of the cluster
    for method in METHODS:
        freeze(begun, method)
    jobs = {method: job_of(slurm.jobs(), method) for method in METHODS}
    assert sorted(slurm.devices(number) for number in jobs.values()) == ["0", "1", "2", "3"]

    slurm("scontrol", "update", f"jobid={jobs['kd']}", "timelimit=1")
    slurm("scancel", jobs["none"])
    slurm("scontrol", "requeue", jobs["at"])
    until(lambda: jobs["kd"] not in slurm.jobs().values(), 300)
    assert job_of(slurm.jobs(), "sp") == jobs["sp"]
    slurm.node("down", "reason=test")
    until(lambda: jobs["sp"] not in slurm.jobs().values(), 60)
    slurm.serve_again()
    code, output = snakemake.end()

    assert code == 0, output
    for phase in ("teacher", "student"):
        assert results(begun, phase) == results(undisturbed, phase)
    for method in METHODS:
        assert "continues at step" in log_of(begun, method)


def test_jobs_run_in_parallel_up_to_their_limit_and_a_failed_one_costs_no_other(
    slurm, undisturbed, begun, call
):
    """The failed job is named, and the others end as if nothing had been."""
    params = yaml.safe_load((begun.root / "params.yaml").read_text())
    begun.edit(methods={"kd": {"weight": 1e9, "task_weight": 1e9}}, scales=params["scales"])
    most = set()
    ended = threading.Event()

    def watch():
        while not ended.wait(0.3):
            most.add(len(slurm.jobs("RUNNING,PENDING,COMPLETING")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code, output = call(begun, "--jobs", "2", "--retries", "0").end()
    finally:
        ended.set()
        watcher.join()

    assert code != 0
    assert max(most) == 2
    assert "Error in rule student" in output
    assert STUDENTS["kd"] in output
    page = (begun.root / "results/lite").rglob("*.json")
    names = {path.name.partition(".")[0] for path in page if "diverged" in path.parts}
    assert names == {STUDENTS["kd"]}
    expected = {k: v for k, v in results(undisturbed, "student").items() if "_kd_" not in k}
    assert results(begun, "student") == expected


def test_ranks_are_torchrun_s_in_a_job_or_tasks_of_srun(slurm, undisturbed, begun, call):
    """Snakemake's job has a GPU per rank; tasks of Slurm, one per rank, leave the same bits."""
    params = yaml.safe_load((begun.root / "params.yaml").read_text())
    lite = {**params["scales"]["lite"], "ranks": 2, "synchronise_norms": True}
    table = {**params["tables"][0], "methods": ["none"]}
    begun.edit(scales={"lite": lite}, tables=[table])
    code, output = call(begun).end()
    assert code == 0, output
    (folder,) = (p.parent for p in folders(begun, "none", "last.safetensors"))
    record = begun.root / f"results/lite/records/student/cifar100/{folder.name}.json"
    digest = folder.name.rpartition(".")[2]
    number = next(n for name, n in slurm.jobs("COMPLETED").items() if digest in name)
    weights = (folder / "last.safetensors").read_bytes()

    assert read_record(record)["provenance"]["ranks"] == 2
    assert "gpu:faked:2" in slurm("scontrol", "show", "job", number)

    shutil.rmtree(folder)
    record.unlink()
    environment = {**begun.environment(), "SLURM_CONF": slurm.environment["SLURM_CONF"]}
    words = ["kdbench", "run", digest, "--scale", "lite"]
    command = ["srun", "--ntasks=2", "--mem=4000", "--kill-on-bad-exit", *words]
    done = subprocess.run(command, cwd=begun.root, env=environment, timeout=600, check=False)

    assert done.returncode == 0
    assert read_record(record)["provenance"]["ranks"] == 2
    assert (folder / "last.safetensors").read_bytes() == weights


assert len(METHODS) == GPUS
