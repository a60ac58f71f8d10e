"""A few faults of `make chaos`, and that its own eyes are open: a loss is seen."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import chaos
import faults
from world import World

FAULTS = 4


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_nothing_is_lost_by_some_faults(tmp_path):
    """Records and weights are those of an undisturbed run, bit for bit but for times."""
    assert chaos.run(tmp_path, FAULTS, random.Random(7)) == 0


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
