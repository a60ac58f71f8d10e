"""Files and folders are written whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kdbench.errors import UserError
from kdbench.store.artifacts import sweep
from kdbench.store.atomic import (
    HOST,
    sweep_drafts,
    whole_file,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)


def test_equal_contents_are_equal_bytes(tmp_path):
    """Folders are made; the order of keys does not matter; text is UTF-8 whatever the locale."""
    first, second = tmp_path / "a/b/one.json", tmp_path / "a/b/two.json"
    write_json(first, {"schema": 1, "b": [1.5, None], "a": "é"})
    write_json(second, {"a": "é", "b": [1.5, None], "schema": 1})

    expected = b'{\n "a": "\\u00e9",\n "b": [\n  1.5,\n  null\n ],\n "schema": 1\n}\n'
    assert first.read_bytes() == second.read_bytes() == expected


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    """No newline is translated, no character lost."""
    write_text(tmp_path / "text", "é\r\n\n")
    write_bytes(tmp_path / "bytes", b"\x00\xff")

    assert (tmp_path / "text").read_bytes() == "é\r\n\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


def fails(*_):
    """A disk without room."""
    raise OSError("No space left on device")


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize("older", [None, "old"])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, moment, older):
    """A full disk while writing, or a rename that fails: the older file, and nothing beside it."""
    file = tmp_path / "record.json"
    if older:
        write_text(file, older)
    monkeypatch.setattr(os if moment == "fsync" else Path, moment, fails)

    with pytest.raises(OSError, match="No space"):
        write_text(file, "new")

    assert [path.read_text() for path in tmp_path.iterdir()] == [older] * bool(older)


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    """Whoever fills the temporary path may be interrupted in the middle."""
    file = tmp_path / "weights"
    write_text(file, "old")
    with pytest.raises(KeyboardInterrupt), whole_file(file) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt

    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """A power cut between the two leaves no empty file; what is flushed is the whole content."""
    calls, rename = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: calls.append(os.fstat(number).st_size))
    monkeypatch.setattr(Path, "replace", lambda *a: calls.append("rename") or rename(*a))
    write_text(tmp_path / "record.json", "whole")

    assert calls == [5, "rename"]


def test_what_a_killed_process_left_is_swept(tmp_path):
    """Temporary files and folders carry names that `sweep` knows."""
    run, record = tmp_path / "run", tmp_path / "records" / "run.json"
    with (
        suppress(KeyboardInterrupt),
        whole_file(run / "last.safetensors") as weights,
        whole_folder(run / "prepared") as draft,
        whole_file(record) as text,
    ):
        weights.touch()
        text.touch()
        sweep(run, record)
        left = [path for path in (weights, draft, text) if path.exists()]
        raise KeyboardInterrupt

    assert left == []


def test_nan_is_not_written(tmp_path):
    """It would not be JSON; nothing is left behind."""
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "record.json", {"top1": float("nan")})

    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    """No file of the older one stays; every file is on the disk before the folder has its name."""
    for name in ("a", "b"):
        with whole_folder(tmp_path / "set") as draft:
            (draft / "deeper").mkdir()
            (draft / "deeper" / name).write_text(name)

    assert [path.name for path in tmp_path.rglob("*")] == ["set", "deeper", "b"]


@pytest.mark.parametrize("moment", ["block", "fsync", "first rename", "second rename"])
def test_a_folder_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch, moment):
    """Whatever fails, and whenever; one line says which folder, and no draft is left."""
    folder = tmp_path / "set"
    with whole_folder(folder) as draft:
        (draft / "file").write_text("old")
    rename, renames = Path.replace, []

    def fails_at(path, target):
        renames.append(path)
        if len(renames) == (1 if moment == "first rename" else 2):
            fails()
        return rename(path, target)

    with monkeypatch.context() as patch:
        if moment == "fsync":
            patch.setattr(os, "fsync", fails)
        if moment.endswith("rename"):
            patch.setattr(Path, "replace", fails_at)
        with (
            pytest.raises(UserError, match="set: no room left on the disk"),
            whole_folder(folder) as draft,
        ):
            (draft / "file").write_text("new")
            if moment == "block":
                fails()

    assert [path.name for path in tmp_path.rglob("*")] == ["set", "file"]
    assert (folder / "file").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from kdbench.store import atomic

folder, moment = Path(sys.argv[1]), sys.argv[2]
replace = Path.replace

def die(self, target):
    moved = replace(self, target) if moment == "between the renames" else None
    os.kill(os.getpid(), signal.SIGKILL)

with atomic.whole_folder(folder) as draft:
    (draft / "content").write_text("new")
    if moment == "while it is filled":
        os.kill(os.getpid(), signal.SIGKILL)
    Path.replace = die
"""


@pytest.mark.parametrize(
    "moment", ["while it is filled", "before the renames", "between the renames"]
)
def test_the_draft_of_a_killed_process_is_removed_by_the_next(tmp_path, moment):
    """What the folder held is there again, whenever the process was killed."""
    folder = tmp_path / "set"
    with whole_folder(folder) as draft:
        (draft / "content").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment])
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".set.*"))) == 1

    sweep_drafts(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert (folder / "content").read_text() == "old"


def test_the_draft_of_a_living_process_stays(tmp_path):
    """Two may prepare the same data set; the last one's counts."""
    with whole_folder(tmp_path / "set") as first:
        (first / "content").write_text("first")
        with whole_folder(tmp_path / "set") as second:
            (second / "content").write_text("second")
        assert (tmp_path / "set/content").read_text() == "second"
    assert (tmp_path / "set/content").read_text() == "first"


def test_a_draft_without_a_lock_stays_for_an_hour(tmp_path):
    """Nothing says whether its process lives, until it has written nothing for so long."""
    draft = tmp_path / ".set.abcd"
    draft.mkdir()
    sweep_drafts(tmp_path / "set")
    assert draft.is_dir()

    os.utime(draft, (0, 0))
    sweep_drafts(tmp_path / "set")
    assert not draft.exists()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_files_have_the_mode_that_the_umask_gives(tmp_path, umask):
    """Also where the library that writes them makes files for their owner alone."""
    older = os.umask(umask)
    try:
        with whole_file(tmp_path / "weights.safetensors") as temporary:
            save_file({"a": np.zeros(3)}, temporary)
        write_text(tmp_path / "text", "")
        with whole_folder(tmp_path / "set") as draft:
            (draft / "file").touch()
    finally:
        os.umask(older)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}

    plain = 0o666 & ~umask
    expected = {"weights.safetensors": plain, "text": plain, "file": plain}
    assert modes == {**expected, "set": 0o777 & ~umask}


def test_an_older_file_is_kept_under_another_name(tmp_path):
    """It is renamed once the new one is on the disk, and the one before it is gone."""
    for text in ("one", "two", "three"):
        with whole_file(tmp_path / "new", previous=tmp_path / "old") as temporary:
            temporary.write_text(text)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "new": "three",
        "old": "two",
    }


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_there_at_every_moment_under_one_name_or_the_other(tmp_path, monkeypatch, links):
    """Under its own, unless the file system has no hard links."""
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("one")
    replace, seen = Path.replace, []

    def replacing(path, target):
        found = replace(path, target)
        seen.append({file.name: file.read_text() for file in (new, old) if file.exists()})
        return found

    monkeypatch.setattr(Path, "replace", replacing)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse_links)
    with whole_file(new, previous=old) as temporary:
        temporary.write_text("two")

    assert seen == [
        {"old": "one"} | ({"new": "one"} if links else {}),
        {"new": "two", "old": "one"},
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


def refuse_links(path, target):
    """What such a file system says."""
    raise PermissionError(errno.EPERM, "Operation not permitted", str(path))


KILLED_WRITER = """
import os, signal
from pathlib import Path
from kdbench.store.atomic import whole_file
with whole_file(Path("file")):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whoever_writes_a_file_again_removes_what_killed_processes_left(tmp_path):
    """Files of living processes and of other names stay."""
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert [path.name[:6] for path in tmp_path.iterdir()] == [".file."]
    neighbours = {".file.x.1@host", f".file.1{HOST}", ".file.999999@elsewhere"}
    for name in neighbours:
        (tmp_path / name).touch()

    write_text(tmp_path / "file", "")

    assert {path.name for path in tmp_path.iterdir()} == {"file", *neighbours}
