"""The schedule of an estimate against one that is made second by second."""

import random

import pytest

from kdbench.workflow.schedule import Task, finish_time


def chain(tasks, name):
    """Seconds of the longest chain that begins with a task."""
    later = [chain(tasks, other) for other, task in tasks.items() if name in task.after]
    return tasks[name].seconds + max(later, default=0)


def second_by_second(tasks, places):
    """The same rule, in whole seconds: at each one, all that is ready begins as far as it fits."""
    names = list(tasks)
    first = sorted(names, key=lambda name: (-chain(tasks, name), names.index(name)))
    ends = {}
    for now in range(sum(task.seconds for task in tasks.values()) + 1):
        over = {name for name, end in ends.items() if end <= now}
        if len(over) == len(tasks):
            return now
        for name in first:
            if name not in ends and {*tasks[name].after} & {*tasks} <= over:
                running = [tasks[n].places for n, end in ends.items() if end > now]
                held = sum(min(p, places) for p in running) + min(tasks[name].places, places)
                if held <= places:
                    ends[name] = now + tasks[name].seconds
    raise AssertionError("it never ends")


def random_tasks(seed):
    """Up to 12 tasks of 1 to 9 seconds, each after some of those before it."""
    rng = random.Random(seed)
    tasks = {}
    for name in range(rng.randint(1, 12)):
        after = [other for other in tasks if rng.random() < 0.25]
        tasks[name] = Task(rng.randint(1, 9), rng.choice([1, 1, 1, 2, 3]), after)
    return tasks


@pytest.mark.parametrize("places", [1, 2, 3, 5])
def test_the_schedule_is_that_of_every_second(places):
    """Two hundred random graphs, with tasks that hold several places."""
    for seed in range(200):
        tasks = random_tasks(seed)
        assert finish_time(tasks, places) == second_by_second(tasks, places), seed


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_lies_between_its_bounds(seed):
    """One place takes the sum; very many take the longest chain; two no less than half the sum."""
    tasks = {n: Task(t.seconds, 1, t.after) for n, t in random_tasks(seed).items()}
    whole = sum(task.seconds for task in tasks.values())
    longest = max(chain(tasks, name) for name in tasks)

    assert finish_time(tasks, 1) == whole
    assert finish_time(tasks, 100) == longest
    assert max(longest, whole / 2) <= finish_time(tasks, 2) <= longest + whole / 2


def test_what_is_over_is_not_waited_for():
    """A task after one that is no longer there begins at once; no task takes no time."""
    assert finish_time({"student": Task(3, 1, ["teacher"])}, 1) == 3
    assert finish_time({}, 1) == 0
