"""Artifacts: sealed, checked, and touched by one process at a time."""

import json
import shutil
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from kdbench.errors import DamagedData
from kdbench.store.artifacts import LOCK, checked, locked, seal, sweep


@pytest.fixture
def sealed(tmp_path):
    """A folder with two files, one of them deeper."""
    folder = tmp_path / "run"
    (folder / "prepared").mkdir(parents=True)
    (folder / "last.bin").write_bytes(b"weights")
    (folder / "prepared" / "images.npy").write_bytes(b"images")
    seal(folder)
    return folder


def test_a_sealed_folder_passes_its_check(sealed):
    """The manifest lists every file by its relative name with its size."""
    manifest = checked(sealed)

    assert {name: entry["bytes"] for name, entry in manifest.items()} == {
        "last.bin": 7,
        "prepared/images.npy": 6,
    }


def test_what_is_no_artifact_is_not_sealed(sealed):
    """Checkpoint, lock, temporary files, also those in a killed preparation's hidden folder."""
    before = seal(sealed)
    (sealed / ".prepared.x1" / "new").mkdir(parents=True)
    (sealed / ".prepared.x1" / "new" / "images.npy").write_bytes(b"half")
    for name in ("checkpoint.pt", ".checkpoint.pt.77", LOCK):
        (sealed / name).write_bytes(b"x")

    assert seal(sealed) == before


def test_a_sweep_removes_temporary_files_only(sealed):
    """Of the folder, whatever their depth, and of the record; not the lock, not the checkpoint."""
    manifest = checked(sealed)
    (sealed / ".prepared.x1" / "new").mkdir(parents=True)
    (sealed / ".prepared.x1" / "new" / "images.npy").write_bytes(b"half")
    (sealed / ".last.bin.5.partial").write_bytes(b"half")
    record, neighbour = (sealed.parent / name for name in ("a.json", ".b.json.7"))
    for file in (sealed / LOCK, sealed / "checkpoint.pt", neighbour, record):
        file.write_bytes(b"x")
    (sealed.parent / ".a.json.7").write_bytes(b"half")

    sweep(sealed, record)

    assert checked(sealed) == manifest
    assert [p.name for p in sorted(sealed.glob(".*"))] == [LOCK]
    assert (sealed / "checkpoint.pt").exists()
    assert sorted(p.name for p in sealed.parent.iterdir()) == [".b.json.7", "a.json", "run"]


def refusal(folder):
    """What is said about a damaged folder, in one line."""
    with pytest.raises(DamagedData) as caught:
        checked(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(f"delete {folder}; the next run pulls or rebuilds it")
    return str(caught.value)


def test_a_changed_byte_is_found(sealed):
    """The same size; the file is named."""
    (sealed / "prepared" / "images.npy").write_bytes(b"imagez")

    assert refusal(sealed).startswith(f"{sealed / 'prepared' / 'images.npy'}: found sha256 ")


def test_a_missing_file_is_found(sealed):
    """The refusal names it."""
    (sealed / "last.bin").unlink()

    assert refusal(sealed).startswith(f"{sealed / 'last.bin'}: found no such file")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"last.bin": 3}', '{"last.bin": {}}', "\udcff"]
)
def test_what_is_no_manifest_is_refused(sealed, content):
    """Whatever it holds instead."""
    (sealed / "artifacts.json").write_bytes(content.encode(errors="surrogateescape"))

    assert refusal(sealed).startswith(f"{sealed / 'artifacts.json'}: found unreadable content")


def test_equal_files_have_equal_manifests(sealed, tmp_path):
    """To the byte: no time, no path."""
    text = (sealed / "artifacts.json").read_text()
    sealed.rename(tmp_path / "elsewhere")
    seal(tmp_path / "elsewhere")

    assert (tmp_path / "elsewhere" / "artifacts.json").read_text() == text
    assert set(json.loads(text)["last.bin"]) == {"sha256", "bytes"}


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    """Another one waits while it lives, and gets the lock when it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from kdbench.store.artifacts import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    entered = threading.Event()

    def enter():
        with locked(tmp_path):
            entered.set()

    try:
        assert holder.stdout.readline() == "held\n"
        waiter = threading.Thread(target=enter)
        waiter.start()
        assert not entered.wait(0.3)
    finally:
        holder.kill()
        holder.communicate()
    assert entered.wait(10)
    waiter.join()
    assert not (tmp_path / LOCK).exists()


def test_one_holder_at_a_time_although_each_deletes_the_lock_file(tmp_path):
    """A waiter that wins a deleted file must not share the folder with one that made a new file."""
    inside, most = [], []

    def work():
        for _ in range(40):
            with locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0003)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 1
    assert len(most) == 240
    assert list(tmp_path.iterdir()) == []


def test_a_folder_deleted_under_the_lock_is_no_error(tmp_path):
    """Somebody followed the advice to delete it."""
    folder = tmp_path / "run"
    with locked(folder):
        (folder / LOCK).unlink()
        folder.rmdir()

    assert not folder.exists()


def test_a_folder_deleted_while_another_waits_is_made_again(tmp_path):
    """The waiter gets the lock of the new folder."""
    folder, entered = tmp_path / "run", []

    def enter():
        with locked(folder):
            entered.append(folder.is_dir())

    waiter = threading.Thread(target=enter)
    with locked(folder):
        waiter.start()
        time.sleep(0.1)
        shutil.rmtree(folder)
        time.sleep(0.1)
    waiter.join()

    assert entered == [True]
    assert list(folder.iterdir()) == []


def test_a_newer_lock_is_left_alone(tmp_path):
    """The folder was deleted under a lock and made again by another process: that one has it."""
    with locked(tmp_path):
        (tmp_path / LOCK).unlink()
        newer = FileLock(tmp_path / LOCK)
        waiter = threading.Thread(target=newer.acquire)
        waiter.start()
        waiter.join()

    assert (tmp_path / LOCK).exists()
