"""Errors of the disk, whichever library meets them."""

import errno
import os
import subprocess

import pytest
import torch
from safetensors.torch import save_file

from kdbench.engine.train_state import TrainState
from kdbench.errors import BadValue, UserError
from kdbench.store.disk import RESUME, checksum_of, plain_errors


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB; only root can make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("needs root and mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def save_checkpoint(folder):
    """By PyTorch, which words it in its own way."""
    TrainState(folder, "run", {"network": torch.nn.Linear(200, 200)}).save()


def save_many(folder):
    """By PyTorch, in many small pieces."""
    layers = torch.nn.Sequential(*(torch.nn.Linear(20, 20) for _ in range(60)))
    TrainState(folder, "run", {"network": layers}).save()


def save_tensors(folder):
    """By safetensors, which has an error of its own."""
    save_file({"weights": torch.zeros(200, 200)}, folder / "last.safetensors")


def save_bytes(folder):
    """By Python."""
    (folder / "file").write_bytes(bytes(100_000))


@pytest.mark.parametrize("write", [save_checkpoint, save_many, save_tensors, save_bytes])
def test_a_full_disk_is_one_line(small_disk, write):
    """The same for every library; a checkpoint leaves nothing behind."""
    with pytest.raises(UserError) as caught, plain_errors("run x", RESUME):
        write(small_disk)

    assert str(caught.value).startswith("run x: no room left on the disk; free some space")
    if write in (save_checkpoint, save_many):
        assert list(small_disk.iterdir()) == []


def test_other_errors_of_the_disk_give_their_reason(tmp_path):
    """With the file's name."""
    with (
        pytest.raises(UserError, match=r"run x: cannot be read or written: .*no_file"),
        plain_errors("run x", RESUME),
    ):
        (tmp_path / "no_file").read_bytes()


@pytest.mark.parametrize("error", [RuntimeError("shapes"), BadValue("a", 1, "2"), KeyError("k")])
def test_other_errors_pass(error):
    """A mistake of ours keeps its traceback, a user's its own line."""
    with pytest.raises(type(error)) as caught, plain_errors("run x", RESUME):
        raise error

    assert caught.value is error


def test_a_quota_counts_as_full():
    """For the person before it, it is."""
    with pytest.raises(UserError, match="no room left"), plain_errors("run x", RESUME):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_a_line_names_the_file_once(tmp_path):
    """Where the block is about the very file, its name is not repeated."""
    file = tmp_path / "no_file"
    with pytest.raises(UserError) as caught, plain_errors(file):
        file.read_bytes()

    assert str(caught.value) == f"{file}: cannot be read or written: No such file or directory"


def test_checksums_are_the_published_ones(tmp_path):
    """SHA-256 unless another algorithm is named (FIPS 180-2, RFC 1321: of "abc")."""
    (tmp_path / "file").write_bytes(b"abc")

    assert checksum_of(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    assert checksum_of(tmp_path / "file", "md5") == "900150983cd24fb0d6963f7d28e17f72"
