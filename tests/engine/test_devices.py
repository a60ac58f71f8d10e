"""Devices: each GPU to one process, freed by the kernel."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock, Timeout

from kdbench.engine import devices
from kdbench.errors import BadValue, UserError

CHILD = """
import sys
from pathlib import Path
from kdbench.engine import devices
devices.POLL = 0.01
print("ready", flush=True)
sys.stdin.readline()
print(devices.claim_slot("ab", Path(sys.argv[1])), flush=True)
print(devices.claim_slot("ab", Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""

# Rounds of processes that are forked at once, and what each of them is told of its GPUs; prints a
# list of (user, device) per round. Physical GPUs stand in FAKED; a process sees those that its
# CUDA_VISIBLE_DEVICES names, numbered anew.
CROWD = """
import json, multiprocessing, os, sys
from pathlib import Path
from types import SimpleNamespace
import torch
from kdbench.engine import devices
folder, rounds, crowd = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
devices.SHARED, devices.POLL = folder, 0.01
FAKED = ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
context = multiprocessing.get_context("fork")

def visible():
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return FAKED if named is None else [FAKED[int(place)] for place in named.split(",")]

torch.cuda.device_count = lambda: len(visible())
torch.cuda.get_device_properties = lambda place: SimpleNamespace(uuid=visible()[place])

def one(member, start, all_have, answers):
    for variable in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "KDBENCH_DEVICE"):
        os.environ.pop(variable, None)
    os.environ.update(member.get("environment", {}))
    os.umask(0o077)
    if "user" in member:
        os.setgid(member["user"])
        os.setuid(member["user"])
    start.wait()
    answers.put(visible()[devices.choose_device().index])
    all_have.wait()

for _ in range(rounds):
    start, all_have = context.Barrier(len(crowd)), context.Barrier(len(crowd))
    answers = context.SimpleQueue()
    given = (start, all_have, answers)
    members = [context.Process(target=one, args=(member, *given)) for member in crowd]
    for member in members:
        member.start()
    print(json.dumps(sorted(answers.get() for _ in members)), flush=True)
    for member in members:
        member.join()
"""


def taken_at_once(folder, rounds, crowd):
    """The physical devices that processes started at once were given, a list per round."""
    words = [sys.executable, "-c", CROWD, str(folder), str(rounds), json.dumps(crowd)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class Child:
    """A process that claims a slot when told to, and keeps it."""

    def __init__(self, folder):
        words = [sys.executable, "-c", CHILD, str(folder)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def ready(self):
        """Wait until it can claim."""
        assert self.process.stdout.readline() == "ready\n"
        return self

    def claim(self):
        """Let it claim; it may have to wait."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self

    def slot(self):
        """The slot that it was given, and given again when it asked again."""
        first, second = (int(self.process.stdout.readline()) for _ in range(2))
        assert first == second
        return first

    def kill(self):
        """SIGKILL; nothing of its own is run."""
        self.process.kill()
        self.process.communicate()


def test_slots_are_apart_and_freed_by_sigkill(tmp_path):
    """Of three processes two get different slots; the third waits and inherits a killed one's."""
    children = [Child(tmp_path) for _ in range(3)]
    try:
        first, second, third = (child.ready() for child in children)
        slots = [first.claim().slot(), second.claim().slot()]
        third.claim()

        assert sorted(slots) == [0, 1]
        second.kill()
        assert third.slot() == slots[1]
    finally:
        for child in children:
            child.kill()


@pytest.mark.slow
def test_a_worker_that_ends_leaves_the_slot_taken(tmp_path):
    """Loaders fork; what a child inherits of the lock does not free it when the child ends."""
    code = """
import multiprocessing, sys
from pathlib import Path
from kdbench.engine.devices import claim_slot
claim_slot(["a"], Path(sys.argv[1]))
worker = multiprocessing.get_context("fork").Process(target=print)
worker.start()
worker.join()
sys.stdin.readline()
"""
    words = [sys.executable, "-c", code, str(tmp_path)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "\n"  # the worker's
        (file,) = tmp_path.iterdir()
        with pytest.raises(Timeout):
            FileLock(file).acquire(timeout=0.3)
    finally:
        holder.communicate("end\n")
    FileLock(file).acquire(timeout=0.3)


def test_other_users_can_lock_the_slots(tmp_path):
    """Whatever the umask of the first one."""
    before = os.umask(0o077)
    try:
        devices.claim_slot("ab", tmp_path)
    finally:
        os.umask(before)

    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o666}


def test_the_cpu_is_chosen_where_there_is_no_gpu(monkeypatch):
    """Nothing is locked."""
    monkeypatch.delenv("KDBENCH_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(devices, "claim_slot", None)

    assert devices.choose_device() == torch.device("cpu")


@pytest.fixture
def gpus(monkeypatch):
    """Fake a number of GPUs; nothing in the environment speaks of devices."""

    def fake(count):
        for variable in ("KDBENCH_DEVICE", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
            monkeypatch.delenv(variable, raising=False)
        named = [SimpleNamespace(uuid=f"GPU-{place}") for place in range(count)]
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "get_device_properties", named.__getitem__)

    return fake


def test_the_only_gpu_of_a_slurm_job_is_its_own(monkeypatch, gpus):
    """Slurm has chosen; no lock."""
    gpus(1)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(devices, "claim_slot", None)

    assert devices.choose_device() == torch.device("cuda", 0)


@pytest.mark.parametrize("slurm", [True, False])
def test_several_gpus_are_claimed_by_what_they_are(monkeypatch, gpus, slurm):
    """The slot's number is the device's, in a Slurm allocation too."""
    gpus(4)
    if slurm:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(devices, "claim_slot", lambda names, folder: names.index("GPU-3"))

    assert devices.choose_device() == torch.device("cuda", 3)


def test_parts_of_a_divided_gpu_go_by_their_own_names(monkeypatch, gpus):
    """Their properties may name the whole GPU."""
    gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a/1/0,MIG-a/2/0")
    monkeypatch.setattr(devices, "claim_slot", lambda names, folder: names.index("MIG-a-2-0"))

    assert devices.choose_device() == torch.device("cuda", 1)


def test_runs_may_share_a_gpu_once_all_have_one(monkeypatch, gpus, tmp_path):
    """First every device's first place is taken, then the second ones; ranks take none of these."""
    gpus(2)
    names = []
    monkeypatch.setenv("KDBENCH_RUNS_PER_GPU", "3")
    monkeypatch.setattr(devices, "claim_slot", lambda given, folder: names.append(given) or 3)

    assert devices.choose_device() == torch.device("cuda", 1)
    assert names == [["GPU-0", "GPU-1", "GPU-0-2", "GPU-1-2", "GPU-0-3", "GPU-1-3"]]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(devices, "claim_slot", lambda given, folder: names.append(given) or 1)
    assert devices.choose_device() == torch.device("cuda", 1)
    assert names[1] == ["GPU-0", "GPU-1"]


@pytest.mark.parametrize("number", ["0", "two", "1.5", "49", "-1"])
def test_a_number_of_runs_per_gpu_that_is_none_is_refused(monkeypatch, gpus, number):
    """In one line that names the variable."""
    gpus(2)
    monkeypatch.setenv("KDBENCH_RUNS_PER_GPU", number)

    with pytest.raises(BadValue, match=f"KDBENCH_RUNS_PER_GPU: found '{number}', expected a whole"):
        devices.choose_device()


ALL = ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, {"SLURM_JOB_ID": "7"}])
def test_processes_started_at_once_take_every_gpu_once(tmp_path, environment):
    """A hundred times four, on one host and in one allocation of several GPUs."""
    crowd = [{"environment": environment}] * 4

    assert taken_at_once(tmp_path, 100, crowd) == [ALL] * 100


@pytest.mark.slow
def test_processes_that_see_different_gpus_share_them_without_overlap(tmp_path):
    """Each sees two, numbered from 0, in an order of its own."""
    crowd = [{"environment": {"CUDA_VISIBLE_DEVICES": s}} for s in ("0,1", "1,0", "2,3", "3,2")]

    assert taken_at_once(tmp_path, 5, crowd) == [ALL] * 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of several users")
def test_several_users_take_every_gpu_once():
    """In a folder like /tmp, whatever each user's umask; the files belong to who came first."""
    folder = Path(tempfile.mkdtemp(prefix="kdbench-test-", dir="/tmp"))
    folder.chmod(0o1777)
    try:
        crowd = [{"user": 1001}, {"user": 1002}, {"user": 1003}, {"user": 1003}]
        assert taken_at_once(folder, 5, crowd) == [ALL] * 5
        assert len({file.stat().st_uid for file in folder.iterdir()}) > 1
    finally:
        shutil.rmtree(folder)


def refuse_to_create(monkeypatch, present):
    """As a kernel with `fs.protected_regular = 2`: nobody creates a file that is another user's."""
    opened = os.open

    def open_protected(path, flags, *mode, **options):
        if str(path) in present and flags & os.O_CREAT and not flags & os.O_EXCL:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", open_protected)


def test_a_file_that_another_user_made_is_locked_without_making_it(tmp_path, monkeypatch):
    """Kernels that protect files in /tmp refuse the creation of one that is there already."""
    files = [tmp_path / f"kdbench-gpu-{name}.lock" for name in "ab"]
    for file in files:
        file.touch()
    refuse_to_create(monkeypatch, {str(file) for file in files})

    assert devices.claim_slot("ab", tmp_path) == 0


def forbid(monkeypatch, *names):
    """Refuse to open the lock files of some devices."""
    opened = os.open

    def open_some(path, flags, *mode, **options):
        if any(f"-{name}.lock" in str(path) for name in names):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", open_some)


def test_a_lock_file_that_is_forbidden_is_passed_over(tmp_path, monkeypatch):
    """The next device is taken."""
    forbid(monkeypatch, "a")

    assert devices.claim_slot("ab", tmp_path) == 1


def test_lock_files_that_are_all_forbidden_are_one_line(tmp_path, monkeypatch):
    """It names the file and what to do, and nothing waits for ever."""
    forbid(monkeypatch, "a", "b")

    with pytest.raises(UserError) as caught:
        devices.claim_slot("ab", tmp_path)

    assert str(caught.value).startswith(f"{tmp_path}/kdbench-gpu-a.lock: Permission denied")
    assert "KDBENCH_DEVICE" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:one", "0"])
def test_a_device_that_is_absent_is_refused_in_one_line(monkeypatch, name):
    """It names the variable and what it holds."""
    monkeypatch.setenv("KDBENCH_DEVICE", name)

    with pytest.raises(BadValue) as caught:
        devices.choose_device()

    assert str(caught.value).startswith(f"KDBENCH_DEVICE: found {name!r}, expected a device")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mps", "mps:0"])
def test_apple_s_gpus_are_refused_in_one_line(monkeypatch, name):
    """On any machine, with the reason."""
    monkeypatch.setenv("KDBENCH_DEVICE", name)
    with pytest.raises(BadValue) as caught:
        devices.choose_device()

    assert str(caught.value).startswith(f"KDBENCH_DEVICE: found {name!r}, expected a device")
    assert "float64" in str(caught.value) and "\n" not in str(caught.value)


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    """Else one of them would wait for ever for a GPU that another rank has."""
    monkeypatch.delenv("KDBENCH_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")

    with pytest.raises(BadValue, match="LOCAL_WORLD_SIZE: found '4', expected at most 2"):
        devices.choose_device()
