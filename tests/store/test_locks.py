"""Locks where a file system has none, and what a waiting process says."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from kdbench.errors import BadValue, UserError
from kdbench.store import locks
from kdbench.store.disk import plain_errors
from kdbench.store.locks import file_system_of, held


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
def without_flock(request, monkeypatch):
    """A file system without locks, as Lustre and NFS may be."""

    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_file_system_without_locks_is_one_line(tmp_path, without_flock):
    """It names the lock, the file system and the ways out; `plain_errors` leaves it as it is."""
    with pytest.raises(UserError) as caught, plain_errors("the run"), held(tmp_path / ".lock"):
        pass

    message = str(caught.value)
    assert message.startswith(f"{tmp_path / '.lock'}: the file system (")
    assert f"({file_system_of(tmp_path)}) refuses locks (" in message
    assert message.endswith("or set KDBENCH_LOCKS=files")
    assert "\n" not in message


def test_lock_files_take_the_place_of_locks(tmp_path, without_flock, monkeypatch):
    """One holder at a time, and nothing is left."""
    monkeypatch.setenv("KDBENCH_LOCKS", "files")
    inside, most = [], []

    def work():
        for _ in range(5):
            with held(tmp_path / ".lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (max(most), len(most)) == (1, 15)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_file_of_a_killed_process_is_taken_over(tmp_path, without_flock, monkeypatch):
    """On the same machine, whose processes can be asked for."""
    monkeypatch.setenv("KDBENCH_LOCKS", "files")
    code = (
        "import os, signal; from pathlib import Path; from kdbench.store.locks import held\n"
        "with held(Path('.lock')): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()

    with held(tmp_path / ".lock"):
        pass

    assert not (tmp_path / ".lock").exists()


def test_another_kind_of_lock_is_refused(tmp_path, monkeypatch):
    """Both kinds are named."""
    monkeypatch.setenv("KDBENCH_LOCKS", "soft")
    with pytest.raises(BadValue, match="KDBENCH_LOCKS: found 'soft', expected 'kernel' or 'files'"):
        held(tmp_path / ".lock").__enter__()


def test_a_waiting_process_says_so_once(tmp_path, monkeypatch, capsys):
    """It names the lock; one that need not wait says nothing."""
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    file, entered = tmp_path / ".lock", threading.Event()

    def enter():
        with held(file):
            entered.set()

    waiter = threading.Thread(target=enter)
    with held(file):
        waiter.start()
        assert not entered.wait(0.5)
    waiter.join()

    assert entered.is_set()
    assert capsys.readouterr().out == (
        f"{file}: another process holds this lock; waiting for its end\n"
    )


def test_the_innermost_mount_names_the_file_system(tmp_path):
    """Whatever their order; spaces are octal numbers there."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "tank /home/my\\040data lustre rw 0 0\nroot / ext4 rw 0 0\nhost:/x /home nfs4 rw 0 0\n"
    )

    kinds = [
        file_system_of(type(tmp_path)(path), mounts)
        for path in ("/home/my data/a", "/home/mine", "/homes/x")
    ]
    assert kinds == ["lustre at /home/my data", "nfs4 at /home", "ext4 at /"]
    assert file_system_of(tmp_path, tmp_path / "none") == "of unknown kind"
