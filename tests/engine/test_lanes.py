"""Lanes take turns, and each goes on as if it were alone."""

import threading
import time

import pytest
import torch

from kdbench.engine import lanes
from kdbench.engine.stopping import Stopper

CPU = torch.device("cpu")
STEPS = 6


def steps_of(name, at_work, taken):
    """A work of some steps, which sees whether another one is at work."""

    def work():
        with lanes.turn():
            for _ in range(STEPS):
                at_work.append(name)
                time.sleep(0.002)  # Python would let another thread go on here
                assert at_work == [name]
                at_work.pop()
                taken.append(name)
                lanes.pass_on()

    return work


def test_lanes_take_a_step_each_and_never_two_at_once():
    """In one order, round by round, for as long as all are there."""
    at_work, taken = [], []
    lanes.in_lanes([steps_of(name, at_work, taken) for name in "abc"], 3, CPU)

    assert sorted(taken) == sorted("abc" * STEPS)
    all_there = next(n for n in range(len(taken)) if set(taken[:n]) == set("abc"))
    one_ends = next(n for n in range(len(taken)) if STEPS in map(taken[:n].count, "abc"))
    rounds = taken[all_there:one_ends]
    assert len(rounds) > 3 and all(a == b for a, b in zip(rounds, rounds[3:], strict=False))


def test_a_lane_takes_the_next_work_when_it_has_ended_one():
    """No more than so many are begun at once, and all are done."""
    begun, most, done = [], [], []

    def work():
        begun.append(1)
        most.append(len(begun))
        time.sleep(0.01)
        with lanes.turn():
            lanes.pass_on()
            done.append(1)
        begun.pop()

    lanes.in_lanes([work] * 7, 2, CPU)
    assert len(done) == 7 and max(most) == 2


def draws(found, there):
    """A work whose every step draws from PyTorch's own random numbers, when all are there."""

    def work():
        there.wait()
        with lanes.turn():
            for _ in range(STEPS):
                time.sleep(0.005)  # for the others to ask for a turn
                found.append(torch.rand(()).item())
                lanes.pass_on()

    return work


def test_random_numbers_are_those_of_a_work_alone():
    """From the state that the process had, for each lane, and the process has it afterwards."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    alone = torch.rand(STEPS).tolist()
    torch.set_rng_state(before)
    found = [[], [], []]

    there = threading.Barrier(3)
    lanes.in_lanes([draws(one, there) for one in found], 3, CPU)
    assert found == [alone] * 3
    assert torch.equal(torch.get_rng_state(), before)


def test_the_clock_leaves_out_the_turns_of_others():
    """What a lane counts as its time adds up, over all lanes, to what has passed."""
    own = []

    def work():
        with lanes.turn():
            begun = lanes.clock()
            for _ in range(3):
                time.sleep(0.05)
                lanes.pass_on()
            own.append(lanes.clock() - begun)

    begun = time.perf_counter()
    lanes.in_lanes([work] * 3, 3, CPU)
    passed = time.perf_counter() - begun
    assert len(own) == 3 and all(seconds >= 0.15 for seconds in own)
    assert sum(own) <= passed


def test_an_error_gives_the_turn_away():
    """The other lanes go on."""
    done = []

    def fails():
        with pytest.raises(ZeroDivisionError), lanes.turn():
            lanes.pass_on()
            raise ZeroDivisionError

    lanes.in_lanes([fails, steps_of("a", [], done)], 2, CPU)
    assert done == ["a"] * STEPS


def test_a_process_without_lanes_is_its_own():
    """Nothing waits, and the clock is the clock."""
    with lanes.turn():
        lanes.pass_on()
        assert lanes.at_once() == 1
        assert abs(lanes.clock() - time.perf_counter()) < 0.1


def test_trainings_beside_each_other_stop_together_and_save_apart():
    """Each has a checkpoint's clock of its own."""
    one = Stopper(checkpoint_seconds=0.01)
    first, second = one.beside(), one.beside()
    time.sleep(0.02)
    assert first.checkpoint_due() and second.checkpoint_due()
    first.checkpoint_done()
    assert not first.checkpoint_due() and second.checkpoint_due()

    assert not first.must_stop()
    one.reason = "SIGTERM"
    assert first.must_stop() and second.must_stop()
    assert (first.reason, second.reason) == ("SIGTERM", "SIGTERM")
