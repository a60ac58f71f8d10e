"""Lanes: trainings of one process that take turns, a step each.

A small network's step leaves most of a GPU idle, and Python a part of the time. Lanes are threads;
each does a whole run as if it were alone, on a stream of its own, and has the turn for one step
after the other: between two steps it lets the others have theirs. One lane's kernels run while
Python prepares the next one's. No two lanes run Python at once, and a lane has its own state of
random numbers, so each computes, to the bit, what it would compute alone.

In a process without lanes, and in a thread that is none, everything here does nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

Work = Callable[[], None]
_mine = threading.local()  # the lane that a thread is


class Lane:
    """A thread's place.

    Attributes:
        turns: of all lanes.
        go: opened when it is this lane's turn.
        waited: seconds in which it had no turn, since its first one.
    """

    def __init__(self, turns: "Turns", device: torch.device) -> None:
        self.turns, self.go, self.waited = turns, threading.Semaphore(0), 0.0
        self._device = device
        self._first = self._random()

    def begin(self) -> None:
        """Wait for a first turn; random numbers are as they were before all lanes."""
        if self.turns.take(self):
            self.go.acquire()
        self._put_back(self._first)
        self.waited = 0.0

    def pass_on(self) -> None:
        """Let the others have a turn each, if there are any."""
        if not self.turns.others():
            return
        begun, random = time.perf_counter(), self._random()
        self.turns.pass_on(self)
        self.go.acquire()
        self._put_back(random)
        self.waited += time.perf_counter() - begun

    def end(self) -> None:
        """Have no turn any more."""
        self._put_back(self._first)
        self.turns.give()

    def _random(self) -> list[torch.Tensor]:
        """The state of the random numbers that belong to the process."""
        on_device = [torch.cuda.get_rng_state(self._device)] if self._device.type == "cuda" else []
        return [torch.get_rng_state(), *on_device]

    def _put_back(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)


class Turns:
    """Who has the turn, and who comes next.

    Attributes:
        most: the largest number of lanes that shared it at once.
    """

    def __init__(self) -> None:
        self._lock, self._next = threading.Lock(), deque[Lane]()
        self._taken, self.most = False, 0

    def take(self, lane: Lane) -> bool:
        """Ask for a turn; returns whether the lane must wait for it."""
        with self._lock:
            if self._taken:
                self._next.append(lane)
            waits, self._taken = self._taken, True
            self.most = max(self.most, len(self._next) + 1)
            return waits

    def others(self) -> bool:
        """Whether a lane waits for a turn."""
        return bool(self._next)

    def pass_on(self, lane: Lane) -> None:
        """Let the next one have it, and come last."""
        with self._lock:
            self._next.append(lane)
            self._next.popleft().go.release()

    def give(self) -> None:
        """Have no turn any more."""
        with self._lock:
            if self._next:
                self._next.popleft().go.release()
            else:
                self._taken = False


def in_lanes(works: Iterable[Work], at_once: int, device: torch.device) -> None:
    """Do all of the works, so many at a time; returns when the last one has ended.

    Args:
        works: each must answer for its own errors.
        at_once: lanes.
        device: where the works compute; on CUDA each lane has a stream there.
    """
    left, taking, turns = iter(works), threading.Lock(), Turns()

    def one_lane(lane: Lane) -> None:
        _mine.lane = lane
        with _stream(device):
            while (work := _taken(left, taking)) is not None:
                work()

    lanes = [Lane(turns, device) for _ in range(at_once)]
    threads = [threading.Thread(target=one_lane, args=[lane]) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _taken(works: Iterator[Work], taking: threading.Lock) -> Work | None:
    with taking:
        return next(works, None)


def _stream(device: torch.device) -> AbstractContextManager[object]:
    """A stream of the thread's own, on CUDA."""
    return torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()


@contextmanager
def turn() -> Iterator[None]:
    """Have the turn inside, and let others have theirs at every `pass_on`."""
    lane: Lane | None = getattr(_mine, "lane", None)
    if lane is None:
        yield
        return
    lane.begin()
    try:
        yield
    finally:
        lane.end()


def pass_on() -> None:
    """Between two steps: let the other lanes take one each."""
    lane: Lane | None = getattr(_mine, "lane", None)
    if lane is not None:
        lane.pass_on()


def clock() -> float:
    """`time.perf_counter`, without the seconds in which other lanes had the turn."""
    lane: Lane | None = getattr(_mine, "lane", None)
    return time.perf_counter() - (lane.waited if lane else 0.0)


def at_once() -> int:
    """The largest number of lanes that took turns so far; 1 in a process without lanes."""
    lane: Lane | None = getattr(_mine, "lane", None)
    return max(1, lane.turns.most) if lane else 1
