"""Injects faults into a running smoke, and shows that nothing is lost by them.

    python tests/chaos/chaos.py --faults 200 --seed 1

An undisturbed run of a small plan comes first. Then rounds begin, each in an empty project: a
command (Snakemake, now and then DVC) is started and hit by a fault at a random moment, again and
again until all runs have records. Each round ends with the two commands of `make reproduce`. Its
records and weights must then be, bit for bit but for times, those of the undisturbed run. A record
that vanishes without a fault having damaged it, a command that is stuck or a last command that
fails is a loss; any loss fails.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import FAULTS, Fault
from small_project import TINY, new_project
from world import REPRODUCE, World

SMOKE = {**TINY, "steps_per_epoch": 4, "batch": 8, "cells_per_job": 2}
PLAN = {"scale": "smoke", "seeds": 2, "scales": {"smoke": SMOKE, "lite": TINY}}
VERIFY = ("kdbench", "verify", "--repair", "--scale", "smoke")
SHARE_OF_DVC = 0.2  # of the commands that are started
FAULTS_PER_ROUND = 12  # at most; a round must end some time


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdbench-chaos-") as folder:
        losses = run(Path(folder), given.faults, random.Random(given.seed))
    sys.exit(bool(losses))


def run(folder: Path, faults: int, rng: random.Random, pool: tuple[Fault, ...] = FAULTS) -> int:
    """Inject faults in as many rounds as they need; returns how many things were lost."""
    undisturbed = World(new_project(folder / "undisturbed", **PLAN), rng)
    begun = time.monotonic()
    if undisturbed.end(undisturbed.start()):
        raise SystemExit(f"the undisturbed run failed\n{undisturbed.output}")
    seconds, expected = time.monotonic() - begun, undisturbed.content()
    say(f"undisturbed: {len(undisturbed.runs)} runs, {len(expected)} records and files", seconds)
    injected, losses, remade, unlocked, number = Counter[str](), list[str](), 0, 0, 0
    while injected.total() < faults:
        number += 1
        world = World(new_project(folder / f"round{number}", **PLAN), rng)
        most = min(FAULTS_PER_ROUND, faults - injected.total())
        hits, lost = fire(world, most, seconds, pool)
        lost += finish(world, expected)
        injected += hits
        losses += [f"round {number}: {line}" for line in lost]
        remade, unlocked = remade + world.remade, unlocked + world.unlocked
        say(f"round {number}: {hits.total()} faults, {len(lost)} losses", time.monotonic() - begun)
    report(injected, losses, remade, unlocked)
    return len(losses)


def fire(
    world: World, most: int, seconds: float, pool: tuple[Fault, ...]
) -> tuple[Counter[str], list[str]]:
    """Start commands and hit each with a fault, until all runs are done or `most` are injected."""
    hits, lost, idle = Counter[str](), list[str](), 0
    while hits.total() < most and idle < 2:
        before, rng = world.records(), world.rng
        words = ("dvc", "repro") if rng.random() < SHARE_OF_DVC else REPRODUCE
        process = world.start(*words)
        time.sleep(rng.uniform(0, seconds / 2))
        for fault in rng.sample(pool, len(pool)):
            line = fault(world, process)
            if line is not None:
                say(f"  {words[0]}: {fault.__name__}: {line}", None)
                hits[fault.__name__] += 1
                break
        world.end(process)
        if rng.random() < 0.5:  # otherwise the next command meets the jobs of this one
            world.idle()
        lost += [f"{name} is gone" for name in world.lost(before)]
        idle = idle + 1 if world.done() else 0
    return hits, lost


def finish(world: World, expected: dict[str, object]) -> list[str]:
    """One plain `make reproduce`; returns what is lost after it."""
    world.idle()
    losses = []
    for words in (VERIFY, REPRODUCE):
        if world.end(world.start(*words)):
            losses.append(f"{' '.join(words)} failed:\n{world.output[-3000:]}")
    if not world.done():
        return [*losses, f"{len(world.records())} of {len(world.runs)} runs have records"]
    content = world.content()
    names = sorted(content.keys() | expected.keys())
    missing = object()
    differ = [n for n in names if content.get(n, missing) != expected.get(n, missing)]
    losses += [f"{n} differs: {_difference(content.get(n), expected.get(n))}" for n in differ]
    return losses + [f"{name} is left over" for name in world.leftovers()]


def _difference(ours: object, theirs: object) -> str:
    """The first key that differs in two records; of artifacts only that they do."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                return f"{key}.{_difference(ours.get(key), theirs.get(key))}"
    return "absent" if ours is None else "other content"


def report(injected: Counter[str], losses: list[str], remade: int, unlocked: int) -> None:
    """Print the counts, and everything that was lost."""
    print(*losses, sep="\n")
    for name, count in sorted(injected.items()):
        print(f"  {name:20} {count:4}")
    never = [fault.__name__ for fault in FAULTS if fault.__name__ not in injected]
    print(f"never injected: {', '.join(never) or 'none'}")
    print(
        f"{injected.total()} faults injected, {len(losses)} things lost, {remade} records made "
        f"again, Snakemake asked for --unlock {unlocked} times"
    )


def say(text: str, seconds: float | None) -> None:
    """Print one line at once, with the time where there is one."""
    print(text if seconds is None else f"{text} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
