"""A few faults of `make chaos`, and that its own eyes are open: a loss is seen."""

import errno
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import chaos
import faults
import small_disk
from tally import Round, Tally, open_tally
from world import World

FAULTS = 4


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_nothing_is_lost_by_some_faults(tmp_path):
    """Records and weights are those of an undisturbed run, bit for bit but for times."""
    assert chaos.run(tmp_path, FAULTS, 7) == 0


class Forgetful(World):
    """A world of one run whose record may vanish."""

    def __init__(self, project, rng):
        """No plan is read."""
        self.project, self.rng, self.runs = project, rng, ["run"]
        self.spoiled, self.paths = set(), self

    def record(self, run):
        """Where its record is."""
        return self.project / "record.json"


def test_a_record_that_vanishes_is_a_loss(tmp_path):
    """Unless a fault had damaged it, so that it was set aside."""
    world = Forgetful(tmp_path, random.Random(0))
    file = tmp_path / "record.json"
    file.write_text("{}")
    before = world.records()
    assert world.lost(before) == []
    file.unlink()
    assert world.lost(before) == ["record.json"]
    world.spoiled.add(file)
    assert world.lost(before) == []


def test_a_record_may_say_what_a_fault_did_to_what_it_read(tmp_path):
    """Of a record that was damaged; the same note without a fault is a difference."""
    data = SimpleNamespace(title="data cifar100 cifar100")
    world = World.__new__(World)
    world.runs, world.spoiled = [data], set()
    world.paths = SimpleNamespace(record=lambda run: tmp_path / "record.json")
    notes = [f"the {part} of {data.title} differ" for part in ("record", "artifacts")]

    assert not any(map(world._due, notes))
    world.spoiled.add(tmp_path / "record.json")
    assert all(map(world._due, notes))
    assert not world._due("the record of teacher cifar100 resnet56 differs")


def test_damage_is_one_bit_or_a_cut(tmp_path):
    """Never nothing, whatever the draw."""
    world = Forgetful(tmp_path, random.Random(0))
    kinds = set()
    for number in range(40):
        file = tmp_path / f"file{number}"
        file.write_bytes(bytes(50))
        line = faults._damage(world, [file])
        content = file.read_bytes()
        kinds.add("cut" in line)
        assert len(content) < 50 if "cut" in line else sum(b.bit_count() for b in content) == 1

    assert kinds == {True, False}
    assert faults._damage(world, []) is None


STARTED = []


@pytest.fixture(autouse=True)
def _nothing_stays():
    """The commands that a test leaves at work end with it."""
    yield
    while STARTED:
        ended(STARTED.pop())


class Busy(World):
    """A world whose commands only wait, and whose runs are done when two of them have ended."""

    def __init__(self, project, seed=0):
        """Nothing is planned."""
        self.project, self.rng = SimpleNamespace(root=project), random.Random(seed)
        self.commands, self.spoiled = [], set()

    def start(self, *words, log="chaos.log"):
        """A command without an end."""
        self.commands.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
        STARTED.append(self.commands[-1])
        return self.commands[-1]

    def end(self, process):
        """No output is read, and nothing is waited for."""
        process.kill()
        return process.wait(60)

    def records(self):
        """None are written."""
        return {}

    def done(self):
        """After two commands."""
        return len(self.commands) == 2


def ended(process):
    """A command that was killed and is no more."""
    process.kill()
    return f"exit code {process.wait(60)}"


def test_one_command_meets_faults_until_it_has_ended(tmp_path):
    """Those that leave it at work cost no start of another."""
    world, met = Busy(tmp_path), []

    def every_fourth(world, process):
        met.append(world.commands.index(process))
        return "nothing" if len(met) % 4 else ended(process)

    hits, lost = chaos.fire(world, 50, 0.01, (every_fourth,))

    assert met == [0, 0, 0, 0, 1, 1, 1, 1]
    assert hits == {"every_fourth": 8} and lost == []


def test_every_fault_comes_before_one_comes_again(tmp_path):
    """Among those that have something to hit, so that few rounds meet all of them."""

    def named(name):
        def fault(world, process):
            return name if process.poll() is None else None

        fault.__name__ = name
        return fault

    pool = tuple(map(named, "abcdefg"))
    world = Busy(tmp_path)
    hits, _ = chaos.fire(world, len(pool) + 2, 0.01, pool)

    assert sorted(hits.values()) == [1, 1, 1, 1, 1, 2, 2]


def test_a_fault_waits_once_for_what_is_seldom_there(tmp_path, monkeypatch):
    """A training is there for a second; others come at once or not at all."""
    calls = Counter()

    def seldom(world, process):
        calls["seldom"] += 1
        return "hit" if calls["seldom"] > 3 else None

    def always(world, process):
        return "hit"

    monkeypatch.setattr(chaos, "PATIENT", (seldom,))
    world = Busy(tmp_path)
    process = world.start()
    hits = Counter()
    for _ in range(3):
        hits.update(chaos._inject(world, process, (always, seldom), hits))

    assert hits["seldom"] >= 1 and calls["seldom"] == 3 + hits["seldom"]


def test_what_is_finished_is_damaged_as_well(tmp_path, monkeypatch):
    """Some rounds end with damage that only their last commands can mend."""

    def end(world, process):
        return ended(process) if process.poll() is None else None

    def damage(world, process):
        return "damaged" if process.poll() is not None else None

    monkeypatch.setattr(chaos, "DAMAGES", (damage,))
    rounds = [chaos.fire(Busy(tmp_path, seed), 50, 0.01, (end, damage))[0] for seed in range(6)]

    assert {hits["damage"] for hits in rounds} == {0, 1, 2}


def test_a_small_disk_is_full_for_a_while(tmp_path):
    """Writing fails with the system's own error, and works again afterwards."""
    folder = tmp_path / "disk"
    with small_disk.small(folder):
        if not small_disk.is_small(folder):
            pytest.skip("mounting is not allowed here")
        with small_disk.full(folder), pytest.raises(OSError) as caught:
            (folder / "record.json").write_bytes(bytes(5000))
        assert caught.value.errno == errno.ENOSPC
        (folder / "record.json").write_bytes(bytes(5000))
    assert not small_disk.is_small(folder) and not list(folder.iterdir())


def test_commands_that_are_started_after_a_shift_have_that_clock(tmp_path):
    """Here the year that `date` tells; what was at work when it came is killed."""
    world = Busy(tmp_path / "project")
    world.shift = ""
    world.project.root.mkdir()
    world.project.environment = lambda: {**os.environ}
    process = world.start()
    line = faults.shift_clock(world, process)
    if line is None:
        pytest.skip("there is no faketime here")
    world.shift = "+1y"

    assert line.startswith("a clock shifted by ") and process.poll() is not None
    assert World.start(world, "date", "+%Y", log="date").wait(60) == 0
    year = int((tmp_path / "project.date").read_text())
    assert year == time.localtime().tm_year + 1


FORKS = "import os, time; os.fork(); time.sleep(600)"


def test_a_server_is_told_from_the_processes_that_it_has_forked(tmp_path):
    """Though both have one command line."""
    world = Forgetful(tmp_path, random.Random(0))
    world.project = SimpleNamespace(root=tmp_path)
    server = subprocess.Popen([sys.executable, "-c", FORKS, faults.SERVER], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while not faults._served(world)[1] and time.monotonic() < deadline:
            time.sleep(0.05)
        servers, forked = faults._served(world)
        assert [one.pid for one in servers] == [server.pid]
        assert len(forked) == 1 and faults.kill_training(world, server) == "SIGKILL to one of 1"
        assert faults.kill_server(world, server) and server.wait(60)
    finally:
        world.kill()


PART = {"number": 1, "remade": 2, "unlocked": 0, "seconds": 60.0}


def test_the_tally_counts_what_survived_what_was_lost_and_the_time(tmp_path):
    """Faults of a round in which something was lost count as injected, not as survived."""
    tally = Tally(1, "code", 30.0, [
        Round(hits={"interrupt": 2, "kill_job": 1}, losses=[], **PART),
        Round(hits={"interrupt": 1}, losses=["a record is gone"], **{**PART, "number": 2}),
    ])  # fmt: skip

    assert tally.hits == {"interrupt": 3, "kill_job": 1}
    assert tally.losses == ["round 2: a record is gone"]
    assert tally.line(200) == (
        "4 of 200 faults injected, 3 survived, 1 things lost, 4 records made again, Snakemake "
        "asked for --unlock 0 times, 30 s per fault"
    )


def test_pieces_count_together_under_the_same_seed_and_code_alone(tmp_path):
    """What was written is read again; faults of other code would prove nothing of this one."""
    tally = Tally(1, "code", 30.0, [Round(hits={"interrupt": 2}, losses=[], **PART)])
    tally.save(tmp_path)

    assert open_tally(tmp_path, 1, "code") == tally
    assert open_tally(tmp_path / "elsewhere", 1, "code") == Tally(1, "code")
    for seed, code in ((2, "code"), (1, "other")):
        with pytest.raises(SystemExit, match=r"delete .* to begin anew"):
            open_tally(tmp_path, seed, code)


@pytest.fixture
def no_rounds(monkeypatch):
    """Nothing is run or read; a test says what its rounds are."""
    monkeypatch.setattr(chaos, "_undisturbed", lambda *_: {})
    monkeypatch.setattr(chaos, "code_under_fire", lambda *_: "code")
    monkeypatch.setattr(chaos, "FAULTS_PER_ROUND", 12)


def test_a_later_call_goes_on_with_the_next_round(tmp_path, monkeypatch, no_rounds):
    """Finished rounds are not done again; a call whose minutes are over begins none."""
    numbers = []

    def round_of(folder, number, most, *_):
        numbers.append((number, most))
        return Round(hits={"interrupt": most}, losses=[], **{**PART, "number": number})

    monkeypatch.setattr(chaos, "_round", round_of)
    assert chaos.run(tmp_path, 20, 1) == 0
    assert numbers == [(1, 12), (2, 8)]
    chaos.run(tmp_path, 20, 1)
    chaos.run(tmp_path, 25, 1, minutes=-1)
    assert len(numbers) == 2
    chaos.run(tmp_path, 25, 1)
    assert numbers[2:] == [(3, 5)]


def test_the_command_ends_with_an_error_where_something_was_lost(tmp_path, monkeypatch, no_rounds):
    """Also where that was in an earlier piece."""
    lost = Round(hits={"interrupt": 12}, losses=["x"], **PART)
    monkeypatch.setattr(chaos, "_round", lambda *_: lost)

    assert chaos.run(tmp_path, 12, 1) == chaos.run(tmp_path, 12, 1) == 1
