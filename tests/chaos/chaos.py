"""Injects faults into a running smoke, and shows that nothing is lost by them.

    python tests/chaos/chaos.py --faults 200 --seed 1
    python tests/chaos/chaos.py --faults 200 --minutes 30    # a piece; the same again goes on

An undisturbed run of a small plan comes first. Then rounds begin, each in an empty project on a
small disk: a command (Snakemake, now and then DVC) is started and hit by one fault after the other,
each after a random while, until it has ended, and so on until all runs have records. Each round
ends with the two commands of `make reproduce`. Its records and weights must then be, bit for bit
but for times, those of the undisturbed run. A record that vanishes without a fault having damaged
it, a command that is stuck or a last command that fails is a loss; any loss fails. After every
round a tally is kept (build/chaos/tally.json), so that the rounds can be done in pieces, under the
same code.
"""

import argparse
import compileall
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import small_disk
from faults import DAMAGES, FAULTS, PATIENT, Fault
from small_project import TINY, Project, new_project
from tally import Round, Tally, code_under_fire, open_tally
from world import REPRODUCE, VERIFY, World

# Long enough that trainings, their checkpoints and a search's scheme are there to be hit.
LENGTHS = {"teacher_epochs": 4, "student_epochs": 4, "search_epochs": 4, "steps_per_epoch": 6}
SMOKE = {**TINY, **LENGTHS, "batch": 8, "cells_per_job": 2}
PLAN = {"scale": "smoke", "seeds": 2, "scales": {"smoke": SMOKE, "lite": TINY}}
SHARE_OF_DVC = 0.2  # of the commands that are started
FOLDER = Path(__file__).parents[2] / "build/chaos"
EMPTY = "empty"  # the project that every round begins with, below that folder
FAULTS_PER_ROUND = 20  # at most; a round must end some time
PAUSE = 0.25  # of the undisturbed run's seconds: the longest while between two faults
PATIENCE = 10.0  # seconds that a fault waits for what is there for seconds only


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=200, help="of all pieces together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where rounds and tally lie")
    parser.add_argument("--minutes", type=float, help="begin no round after so long")
    given = parser.parse_args()
    losses = run(given.folder, given.faults, given.seed, minutes=given.minutes)
    sys.exit(bool(losses))


def run(
    folder: Path,
    faults: int,
    seed: int,
    pool: tuple[Fault, ...] = FAULTS,
    minutes: float | None = None,
) -> int:
    """Inject faults in as many rounds as they need, and go on where an earlier call stopped.

    A round's faults are drawn by the seed and its number. One that is interrupted begins anew.

    Args:
        folder: for the rounds and their tally.
        faults: how many there shall be, those of earlier calls among them.
        seed: of all draws.
        pool: the faults.
        minutes: after which no round begins; None for no limit.

    Returns:
        How many things were lost.
    """
    begun, here = time.monotonic(), Path(__file__).parent
    code = code_under_fire(here.parents[1] / "kdbench", here.glob("*.py"))
    tally = open_tally(folder, seed, code)
    expected = _undisturbed(folder, tally)
    while (left := faults - tally.hits.total()) > 0:
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            break
        number = len(tally.rounds) + 1
        tally.rounds.append(
            _round(folder, number, min(left, FAULTS_PER_ROUND), tally, expected, pool)
        )
        tally.save(folder)
        say(f"round {number}: {tally.line(faults)}", time.monotonic() - begun)
    report(tally, faults)
    return len(tally.losses)


def _undisturbed(folder: Path, tally: Tally) -> dict[str, object]:
    """What a run without faults makes: made once, from the project that rounds begin with."""
    place, rng = folder / "undisturbed", random.Random(tally.seed)
    if tally.undisturbed is None:
        for old in (place, folder / EMPTY):
            shutil.rmtree(old, ignore_errors=True)
        empty = new_project(folder / EMPTY, **PLAN)
        compileall.compile_dir(empty.root / "kdbench", quiet=1)  # or every round would do it
        project = empty.copy(place)
        world, begun = World(project, rng), time.monotonic()
        if world.end(world.start()):
            raise SystemExit(f"the undisturbed run failed\n{world.output}")
        tally.undisturbed = time.monotonic() - begun
        tally.save(folder)
    world = World(Project(place), rng)
    content = world.content()
    say(f"undisturbed: {len(world.runs)} runs, {len(content)} files", tally.undisturbed)
    return content


def _round(
    folder: Path,
    number: int,
    most: int,
    tally: Tally,
    expected: dict[str, object],
    pool: tuple[Fault, ...],
) -> Round:
    """One project under fire to its end; a copy of it stays if something is lost."""
    place, begun = folder / f"round{number}", time.monotonic()
    with small_disk.small(place):
        shutil.copytree(folder / EMPTY, place, symlinks=True, dirs_exist_ok=True)
        world = World(Project(place), random.Random(f"{tally.seed} {number}"))
        try:
            hits, losses = fire(world, most, tally.undisturbed or 0.0, pool)
            losses += finish(world, expected)
            if losses:
                shutil.copytree(place, folder / f"lost{number}", symlinks=True, dirs_exist_ok=True)
        finally:
            world.kill()
    shutil.rmtree(place)
    seconds = time.monotonic() - begun
    return Round(number, dict(hits), losses, world.remade, world.unlocked, seconds)


def fire(
    world: World, most: int, seconds: float, pool: tuple[Fault, ...]
) -> tuple[Counter[str], list[str]]:
    """Start commands and hit each again and again, until all runs are done or `most` are injected.

    Now and then what is finished is damaged as well, which the last commands have to mend.

    Args:
        world: that is hit.
        most: faults.
        seconds: that the plan takes without faults.
        pool: the faults.

    Returns:
        How often each was injected, and what was lost.
    """
    hits, lost, rng = Counter[str](), list[str](), world.rng
    while hits.total() < most and not world.done():
        before = world.records()
        process = world.start(*(("dvc", "repro") if rng.random() < SHARE_OF_DVC else REPRODUCE))
        world.wait(process, rng.uniform(0, PAUSE * seconds))
        while process.poll() is None and hits.total() < most:
            hits.update(_inject(world, process, pool, hits))
            world.wait(process, rng.uniform(0, PAUSE * seconds))
        world.end(process)
        if rng.random() < 0.5:  # otherwise the next command meets the jobs of this one
            world.idle()
        lost += [f"{name} is gone" for name in world.lost(before)]
    damages = [fault for fault in pool if fault in DAMAGES]
    for _ in range(min(rng.randrange(3), most - hits.total())):
        hits.update(_inject(world, process, damages, hits))
    return hits, lost


def _inject(
    world: World, process: subprocess.Popen[bytes], pool: Sequence[Fault], hits: Counter[str]
) -> list[str]:
    """The name of a fault that hit something; none where none could. Rare ones are tried first.

    Those that hit what is seldom there wait for it, until they have come once.
    """
    drawn = world.rng.sample(pool, len(pool))
    for fault in sorted(drawn, key=lambda fault: hits[fault.__name__]):
        waits = fault in PATIENT and not hits[fault.__name__]
        end = time.monotonic() + (PATIENCE if waits else 0)
        line = fault(world, process)
        while line is None and process.poll() is None and time.monotonic() < end:
            world.wait(process, 0.05)
            line = fault(world, process)
        if line is not None:
            say(f"  {fault.__name__}: {line}", None)
            return [fault.__name__]
    return []


def finish(world: World, expected: dict[str, object]) -> list[str]:
    """One plain `make reproduce`; returns what is lost after it."""
    world.idle()
    world.shift, losses = "", []
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


def report(tally: Tally, faults: int) -> None:
    """Print the counts, and everything that was lost."""
    print(*tally.losses, sep="\n")
    for name, count in sorted(tally.hits.items()):
        print(f"  {name:20} {count:4}")
    never = [fault.__name__ for fault in FAULTS if fault.__name__ not in tally.hits]
    print(f"never injected: {', '.join(never) or 'none'}")
    print(tally.line(faults))


def say(text: str, seconds: float | None) -> None:
    """Print one line at once, with the time where there is one."""
    print(text if seconds is None else f"{text} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
