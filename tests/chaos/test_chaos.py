"""A few faults of `make chaos`, and that its own eyes are open: a loss is seen."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import chaos
import faults
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


def test_a_later_call_goes_on_with_the_next_round(tmp_path, monkeypatch):
    """Finished rounds are not done again; a call whose minutes are over begins none."""
    numbers = []

    def round_of(folder, number, most, *_):
        numbers.append((number, most))
        return Round(hits={"interrupt": most}, losses=[], **{**PART, "number": number})

    monkeypatch.setattr(chaos, "_undisturbed", lambda *_: {})
    monkeypatch.setattr(chaos, "_round", round_of)
    assert chaos.run(tmp_path, 20, 1) == 0
    assert numbers == [(1, chaos.FAULTS_PER_ROUND), (2, 20 - chaos.FAULTS_PER_ROUND)]
    chaos.run(tmp_path, 20, 1)
    chaos.run(tmp_path, 25, 1, minutes=-1)
    assert len(numbers) == 2
    chaos.run(tmp_path, 25, 1)
    assert numbers[2:] == [(3, 5)]


def test_the_command_ends_with_an_error_where_something_was_lost(tmp_path, monkeypatch):
    """Also where that was in an earlier piece."""
    monkeypatch.setattr(chaos, "_undisturbed", lambda *_: {})
    lost = Round(hits={"interrupt": 12}, losses=["x"], **PART)
    monkeypatch.setattr(chaos, "_round", lambda *_: lost)

    assert chaos.run(tmp_path, 12, 1) == chaos.run(tmp_path, 12, 1) == 1
