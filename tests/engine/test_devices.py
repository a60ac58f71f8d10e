"""Devices: each slot to one process, freed by the kernel."""

import os
import subprocess
import sys

import pytest
import torch
from filelock import FileLock, Timeout

from kdbench.engine import devices
from kdbench.errors import BadValue

CHILD = """
import sys
from pathlib import Path
from kdbench.engine import devices
devices.POLL = 0.01
print("ready", flush=True)
sys.stdin.readline()
print(devices.claim_slot(2, Path(sys.argv[1])), flush=True)
print(devices.claim_slot(2, Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""


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


def test_a_worker_that_ends_leaves_the_slot_taken(tmp_path):
    """Loaders fork; what a child inherits of the lock does not free it when the child ends."""
    code = """
import multiprocessing, sys
from pathlib import Path
from kdbench.engine.devices import claim_slot
claim_slot(1, Path(sys.argv[1]))
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
        devices.claim_slot(2, tmp_path)
    finally:
        os.umask(before)

    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o666}


def test_the_cpu_is_chosen_where_there_is_no_gpu(monkeypatch):
    """Nothing is locked."""
    monkeypatch.delenv("KDBENCH_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(devices, "claim_slot", None)

    assert devices.choose_device() == torch.device("cpu")


def test_under_slurm_the_scheduler_chooses(monkeypatch):
    """Of the visible devices the first; no lock."""
    monkeypatch.delenv("KDBENCH_DEVICE", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(devices, "claim_slot", None)

    assert devices.choose_device() == torch.device("cuda", 0)


def test_a_local_gpu_is_claimed(monkeypatch):
    """The slot's number is the device's."""
    monkeypatch.delenv("KDBENCH_DEVICE", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(devices, "claim_slot", lambda count, folder: count - 1)

    assert devices.choose_device() == torch.device("cuda", 3)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:one", "0"])
def test_a_device_that_is_absent_is_refused_in_one_line(monkeypatch, name):
    """It names the variable and what it holds."""
    monkeypatch.setenv("KDBENCH_DEVICE", name)

    with pytest.raises(BadValue) as caught:
        devices.choose_device()

    assert str(caught.value).startswith(f"KDBENCH_DEVICE: found {name!r}, expected a device")
    assert "\n" not in str(caught.value)
