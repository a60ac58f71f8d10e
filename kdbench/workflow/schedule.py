"""When jobs on one machine end: each starts once its inputs and a device are free."""

import heapq
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One job of a schedule.

    Attributes:
        seconds: how long it takes.
        places: cores that it holds meanwhile, or GPUs; more than there are count as all.
        after: the tasks that must end before.
    """

    seconds: float
    places: int = 1
    after: Collection[Hashable] = ()


def finish_time(tasks: Mapping[Hashable, Task], places: int) -> float:
    """Seconds until all tasks have ended, on so many places.

    Whenever something ends, those tasks begin that are ready and fit; first the one with the
    longest chain of tasks still to come. That is no more than twice the shortest time there is
    where every task holds one place (Graham, 1969).

    Args:
        tasks: by name, without a circle; tasks that are not among them are over.
        places: at least 1.
    """
    after = {name: {one for one in task.after if one in tasks} for name, task in tasks.items()}
    followers: dict[Hashable, list[Hashable]] = {name: [] for name in tasks}
    for name, before in after.items():
        for one in before:
            followers[one].append(name)
    chains = _chains(tasks, after, followers)
    number = {name: place for place, name in enumerate(tasks)}
    waiting = {name: len(before) for name, before in after.items()}
    ready = [(-chains[name], number[name], name) for name, left in waiting.items() if not left]
    heapq.heapify(ready)
    running: list[tuple[float, int, Hashable]] = []
    now, free = 0.0, places
    while ready or running:
        free = _begin(ready, running, tasks, now, free, places)
        now = running[0][0]
        while running and running[0][0] == now:  # all that end together, before anything begins
            _, _, ended = heapq.heappop(running)
            free += min(tasks[ended].places, places)
            for name in followers[ended]:
                waiting[name] -= 1
                if not waiting[name]:
                    heapq.heappush(ready, (-chains[name], number[name], name))
    return now


def _begin(
    ready: list[tuple[float, int, Hashable]],
    running: list[tuple[float, int, Hashable]],
    tasks: Mapping[Hashable, Task],
    now: float,
    free: int,
    places: int,
) -> int:
    """Start the jobs that are ready and fit; returns the places that stay free."""
    passed_over = []
    while ready and free:
        entry = heapq.heappop(ready)
        _, number, name = entry
        held = min(tasks[name].places, places)
        if held > free:
            passed_over.append(entry)
            continue
        free -= held
        heapq.heappush(running, (now + tasks[name].seconds, number, name))
    for entry in passed_over:
        heapq.heappush(ready, entry)
    return free


def _chains(
    tasks: Mapping[Hashable, Task],
    after: Mapping[Hashable, Collection[Hashable]],
    followers: Mapping[Hashable, list[Hashable]],
) -> dict[Hashable, float]:
    """By task, the seconds of the longest chain that begins with it."""
    left = {name: len(names) for name, names in followers.items()}
    ends = [name for name, number in left.items() if not number]
    chains: dict[Hashable, float] = {}
    while ends:
        name = ends.pop()
        later = max((chains[one] for one in followers[name]), default=0.0)
        chains[name] = tasks[name].seconds + later
        for one in after[name]:
            left[one] -= 1
            if not left[one]:
                ends.append(one)
    return chains
