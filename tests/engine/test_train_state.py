"""Checkpoints: whole or absent, of this run or refused, never code."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from kdbench.engine import train_state as module
from kdbench.engine.checksum import TRAILER
from kdbench.engine.train_state import TrainState
from kdbench.errors import DamagedData
from kdbench.store.artifacts import sweep
from kdbench.store.paths import CHECKPOINT, DAMAGED, PREVIOUS

CPU = torch.device("cpu")


def make(folder, identity="run1", fill=0.0):
    """A state over a network and its optimiser after one step."""
    layer = nn.Linear(3, 2)
    nn.init.constant_(layer.weight, fill)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return TrainState(folder, identity, {"network": layer, "optimiser": optimiser})


def saved(folder, **values):
    """A state whose checkpoint is on disk."""
    state = make(folder, fill=1.0)
    for name, value in values.items():
        setattr(state, name, value)
    state.save()
    return state


def test_a_checkpoint_restores_everything(tmp_path):
    """Positions, sums, curves, the best look, weights and momentum."""
    best = {"top1": 12.5, "epoch": 2, "weights": {"w": torch.arange(3.0)}}
    values = {"epoch": 3, "step": 2, "sums": {"task": torch.tensor(1.5)}, "seconds": 7.5}
    before = saved(tmp_path, best=best, curves={"task": [2.0, 1.0]}, **values)
    after = make(tmp_path)

    assert after.load(CPU)

    assert (after.epoch, after.step, after.seconds) == (3, 2, 7.5)
    assert after.curves == {"task": [2.0, 1.0]}
    assert after.sums == values["sums"]
    assert torch.equal(after.best["weights"]["w"], torch.arange(3.0))
    torch.testing.assert_close(
        after.parts["network"].state_dict(), before.parts["network"].state_dict(), rtol=0, atol=0
    )
    old, new = (p.parts["optimiser"].state_dict()["state"] for p in (before, after))
    assert torch.equal(old[0]["momentum_buffer"], new[0]["momentum_buffer"])


def test_a_checkpoint_is_read_to_the_cpu_and_its_sums_put_on_the_device(tmp_path, monkeypatch):
    """So that Adam's count of steps never leaves the CPU, where a look at it waits for nothing."""
    saved(tmp_path, sums={"task": torch.tensor(1.5)})
    places, load = [], module.torch.load
    monkeypatch.setattr(
        module.torch,
        "load",
        lambda file, map_location, **rest: (
            places.append(map_location) or load(file, map_location=map_location, **rest)
        ),
    )
    after = make(tmp_path)

    assert after.load(torch.device("meta"))
    assert places == ["cpu"]
    assert after.sums["task"].device.type == "meta"
    assert after.best == {}


def test_the_clock_goes_on_where_the_checkpoint_left_it(tmp_path, monkeypatch):
    """Time between two processes is nobody's; a second look counts nothing twice."""
    now = [100.0]
    monkeypatch.setattr("kdbench.engine.train_state.time.perf_counter", lambda: now[0])
    first = TrainState(tmp_path, "run1", {})
    now[0] = 107.0
    first.save()
    now[0] = 1000.0
    second = TrainState(tmp_path, "run1", {})
    now[0] = 1002.0
    second.load(torch.device("cpu"))
    now[0] = 1003.0

    assert (second.clock(), second.clock()) == (10.0, 10.0)


def test_without_a_checkpoint_nothing_is_loaded(tmp_path):
    """A fresh start; and after `forget` again."""
    assert not make(tmp_path / "none").load(CPU)

    saved(tmp_path).forget()

    assert not make(tmp_path).load(CPU)
    assert list(tmp_path.iterdir()) == []


def no_room(*_, **__):
    """A disk without room."""
    raise OSError(28, "No space left on device")


def half_written(content, file):
    """A write that ends in the middle."""
    file.write(b"half a checkpoint")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("target", "name", "broken"),
    [
        (module.torch, "save", half_written),
        (os, "fsync", no_room),
        (Path, "replace", no_room),
        (nn.Linear, "state_dict", no_room),
    ],
)
def test_a_save_that_fails_leaves_the_older_checkpoint(tmp_path, monkeypatch, target, name, broken):
    """To the byte, and nothing beside it."""
    state = saved(tmp_path, epoch=1)
    whole = state.file.read_bytes()
    state.epoch = 2
    with monkeypatch.context() as patch:
        patch.setattr(target, name, broken)
        with pytest.raises((OSError, KeyboardInterrupt)):
            state.save()

    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    assert state.file.read_bytes() == whole


def test_a_kill_during_a_save_leaves_the_older_checkpoint(tmp_path):
    """SIGKILL with the temporary file written; a sweep removes what is left of it."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from kdbench.engine.train_state import TrainState\n"
        "state = TrainState(Path(sys.argv[1]), 'run1', {})\n"
        "state.epoch = 1; state.save()\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "state.epoch = 2; state.save()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2

    sweep(tmp_path, tmp_path / "record.json")

    state = TrainState(tmp_path, "run1", {})
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    assert state.load(CPU)
    assert state.epoch == 1


def refusal(folder):
    """The refusal of a checkpoint; one line with the file and the advice."""
    with pytest.raises(DamagedData) as caught:
        make(folder).load(CPU)
    message = str(caught.value)
    assert message.startswith(f"{folder / CHECKPOINT}: found ")
    assert message.endswith("delete it to start this run afresh")
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))
    return message


def passed_over(folder, epoch=None):
    """The one line about a damaged checkpoint; the run then stands at `epoch`, or at its start."""
    lines, state = [], make(folder)
    assert state.load(CPU, lines.append) == (epoch is not None)
    assert state.epoch == (epoch or 0)
    (message,) = lines
    assert message.startswith(f"{folder / CHECKPOINT}: found ")
    assert message.endswith("goes on from the one before" if epoch else "the run begins anew")
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))
    return message


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    """It names both."""
    make(tmp_path, identity="run2").save()

    assert "found that of run run2, expected that of run run1" in refusal(tmp_path)


@pytest.mark.parametrize("left", [0, 1, 0.5, -1])
def test_a_truncated_checkpoint_is_passed_over(tmp_path, left):
    """Empty, one byte, half of it, all but the last byte of what PyTorch wrote."""
    file = saved(tmp_path).file
    content = file.read_bytes()[:-TRAILER]
    file.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])

    assert re.search(r"found unreadable|found content that is refused", passed_over(tmp_path))


def test_a_checkpoint_cut_anywhere_is_passed_over(tmp_path):
    """PyTorch looks for older formats then, and fails in another way at each length."""
    best = {"weights": {"w": torch.arange(20_000.0)}}
    file, said = saved(tmp_path / "whole", best=best).file, set()
    content = file.read_bytes()
    for left in range(0, len(content) - TRAILER, max(1, len(content) // 150)):
        folder = tmp_path / str(left)
        folder.mkdir()
        (folder / CHECKPOINT).write_bytes(content[:left])
        said.add(passed_over(folder).partition("found ")[2][:40])

    assert len(said) > 1, "one way to fail is no sweep"


def test_every_flipped_bit_is_found_and_the_checkpoint_before_is_used(tmp_path):
    """At places all over the file, most of which PyTorch would read without a word."""
    for epoch in (1, 2):
        state = saved(tmp_path / "whole", epoch=epoch)
    content, silent = state.file.read_bytes(), 0
    for place in range(0, len(content) - TRAILER, 97):
        folder = tmp_path / str(place)
        shutil.copytree(tmp_path / "whole", folder)
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (folder / CHECKPOINT).write_bytes(flipped)

        assert "differs from its checksum" in passed_over(folder, epoch=1)
        with suppress(Exception):
            torch.load(folder / DAMAGED, weights_only=True)
            silent += 1

    assert silent > 5, "PyTorch's own checks would have been enough"


def test_the_last_two_checkpoints_are_kept(tmp_path):
    """The older one under its own name, which a damaged one never takes."""
    for epoch in (1, 2, 3):
        state = saved(tmp_path, epoch=epoch)
    state.file.write_bytes(state.file.read_bytes()[:1000])
    passed_over(tmp_path, epoch=2)
    saved(tmp_path, epoch=4)
    state.file.write_bytes(b"")

    passed_over(tmp_path, epoch=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [DAMAGED, PREVIOUS]

    make(tmp_path).forget()
    assert list(tmp_path.iterdir()) == []


def test_two_damaged_checkpoints_are_two_lines_and_the_run_begins_anew(tmp_path):
    """Each line names its file."""
    for _ in range(2):
        saved(tmp_path, epoch=3)
    for name in (CHECKPOINT, PREVIOUS):
        (tmp_path / name).write_bytes(b"PK nothing")
    lines = []

    assert not make(tmp_path).load(CPU, lines.append)
    assert [Path(line.partition(":")[0]).name for line in lines] == [CHECKPOINT, PREVIOUS]
    assert lines[1].endswith("the run begins anew")


def test_a_kill_between_the_two_renames_costs_one_checkpoint(tmp_path):
    """The last one has its older name already; the new one is not there yet."""
    saved(tmp_path, epoch=1).file.replace(tmp_path / PREVIOUS)
    state, lines = make(tmp_path), []

    assert state.load(CPU, lines.append)
    assert (state.epoch, lines) == (1, [])


def test_a_checkpoint_of_a_version_without_checksums_is_read(tmp_path):
    """As it was before they had them."""
    file = saved(tmp_path, epoch=5).file
    file.write_bytes(file.read_bytes()[:-TRAILER])
    state = make(tmp_path)

    assert state.load(CPU)
    assert state.epoch == 5


def test_a_disk_that_cannot_be_read_is_no_damage(tmp_path, monkeypatch):
    """The checkpoint stays where it is."""
    file = saved(tmp_path).file
    monkeypatch.setattr(module.torch, "load", no_room)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path).load(CPU)

    assert file.exists()


@pytest.mark.parametrize("content", [[1, 2], {"identity": "run1"}, torch.zeros(2)])
def test_another_layout_is_passed_over(tmp_path, content):
    """A file of PyTorch's that is no checkpoint."""
    torch.save(content, tmp_path / CHECKPOINT)

    assert "another layout" in passed_over(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    """The right identity over other shapes."""
    TrainState(tmp_path, "run1", {"network": nn.Linear(4, 2), "optimiser": nn.Linear(1, 1)}).save()

    assert "another state" in refusal(tmp_path)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["raw pickle", "inside a checkpoint", "in place of a state"])
def test_code_in_a_checkpoint_is_never_run(tmp_path, form):
    """Only tensors and plain values are read; and no advice to load it all the same."""
    evil, file = Evil(tmp_path / "ran"), tmp_path / CHECKPOINT
    if form == "raw pickle":
        file.write_bytes(pickle.dumps(evil))
    else:
        parts = evil if form == "in place of a state" else {}
        values = dict.fromkeys(module.VALUES, evil)
        torch.save({"identity": "run1", "parts": parts, **values}, file)

    message = passed_over(tmp_path)

    assert "refused without being run" in message
    assert "weights_only" not in message
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(evil))
    assert (tmp_path / "ran").exists(), "the weapon itself is blunt"
