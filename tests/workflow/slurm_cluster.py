"""A real Slurm of one node, whose GPUs are faked: started for some tests, stopped after them."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

GPUS = 4
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol", "scancel")
PLUGIN = "snakemake_executor_plugin_slurm"

CONFIGURATION = """\
ClusterName=kdbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
# The node claims more cores and memory than the machine has: tests are small.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
# A node is back at once after it was down.
ReturnToService=2
JobRequeue=1
KillWait=20
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=256000 Gres=gpu:faked:{gpus}
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


def absent():
    """What a Slurm of one node needs and this machine lacks; "" where all of it is here."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if importlib.util.find_spec(PLUGIN) is None:
        lacking.append(PLUGIN.replace("_", "-"))
    if os.geteuid() != 0:
        lacking.append("root")
    return ", ".join(lacking)


class Slurm:
    """A running cluster of one node.

    Args:
        folder: of its configuration, state, logs and sockets.
    """

    def __init__(self, folder):
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SLURM_")},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{_path()}",
        }

    def __call__(self, *words):
        """Run one of Slurm's commands; returns what it printed."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self, state="RUNNING"):
        """Jobs in a state: number by comment, in which Snakemake writes rule and wildcards."""
        lines = self("squeue", "--noheader", "--states", state, "--format", "%i|%k").splitlines()
        return {comment: number for number, _, comment in (li.partition("|") for li in lines)}

    def devices(self, number):
        """The places of a job's GPUs, as `scontrol` shows them."""
        shown = self("scontrol", "show", "job", "--details", number)
        return shown.partition("(IDX:")[2].partition(")")[0]

    def node(self, state, *reason):
        """Set the node's state."""
        self("scontrol", "update", f"nodename={self.host}", f"state={state}", *reason)

    def serve_again(self):
        """Bring a node that was down back; one that registers meanwhile comes back by itself."""
        with suppress(AssertionError):  # no state to resume from: it is back
            self.node("resume")
        until(lambda: "down" not in self.node_state(), 60)

    def node_state(self):
        """What the node is at, in one word."""
        return self("sinfo", "--noheader", "--format", "%T")

    def start(self):
        """Start all daemons and wait for the node."""
        self._configure()
        munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        munge |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        self("munged", "--force", *(f"--{k}={self.folder / v}" for k, v in munge.items()))
        self("slurmctld", "-i")
        self("slurmd", "-N", self.host)
        until(lambda: "idle" in self.node_state(), 60)

    def stop(self):
        """End the jobs, then the daemons."""
        subprocess.run(["scancel", "--user", "root"], env=self.environment, timeout=60, check=False)
        with suppress(AssertionError):  # no daemon answers, or a job does not end
            until(lambda: not self.jobs("RUNNING,PENDING,COMPLETING"), 60)
        for daemon in ("slurmd", "slurmctld", "munged"):
            file = self.folder / f"{daemon}.pid"
            if file.is_file():
                os.kill(int(file.read_text()), signal.SIGTERM)
                until(lambda file=file: not file.exists(), 60)

    def _configure(self):
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        ports = {"controller_port": _free_port(), "node_port": _free_port()}
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(host=self.host, folder=self.folder, gpus=GPUS, **ports)
        )
        for place in range(GPUS):  # character devices, which Slurm asks for; copies of /dev/null
            os.mknod(self.folder / f"gpu{place}", 0o020666, os.makedev(1, 3))
        files = f"{self.folder}/gpu[0-{GPUS - 1}]"
        (self.folder / "gres.conf").write_text(f"Name=gpu Type=faked File={files}\n")
        # Snakemake's plug-in takes SLURM_CONF from the steps of a job: here the configuration does
        # not lie where Slurm looks for it otherwise.
        srun = self.folder / "bin/srun"
        real = shutil.which("srun", path=_path())
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
        srun.chmod(0o755)


@contextmanager
def running_slurm():
    """A cluster for the time of a `with` statement."""
    folder = Path(tempfile.mkdtemp(prefix="kdbench-slurm-", dir="/tmp"))
    folder.chmod(0o755)
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


def until(condition, seconds):
    """Wait for a condition; returns its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"still not so after {seconds} seconds"
        time.sleep(0.2)
    return value


def _path():
    """The search path, with the folders of daemons."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
