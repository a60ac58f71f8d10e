"""What a step of each search costs, as a multiple of a KD step, and where its time goes.

    python benchmarks/search_steps.py --minutes 5

Per search: the pair and the batch of its paper's first exhibit, its declared parameters, the
teacher's passes included, turn by turn with KD's step of the same pair and batch in one process, on
noise, in float32 and channels-last. Where steps differ (DFA's, by the group whose turn it is and
by whether its β moves) every kind is timed, and the step is the mean over a whole search. Then the
exclusive share of each part of a step of the most frequent kind (what a part calls counts for what
is called), and the shares of torch's operations. Both sides use the classes that the phases use.
results/search_steps.json has every round.
"""

import argparse
import copy
import os
from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial, wraps
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from losses import loss_of, stepping
from machine import about, peak, write
from metagradient import network
from operations import shares
from turns import LEAST, Contender, take_turns

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision, prepare_process
from kdbench.exhibits.protocols import REVIEW
from kdbench.plan.components import find_components
from kdbench.runs.assemble import Teacher, make_searcher
from kdbench.runs.search import SearchStep
from kdbench.store.parts import Runtime, SearchMethod

STEPS = 600  # of a search, over which the kinds of step are counted
MIDDLE = TrainingPosition(step=STEPS // 2, steps=STEPS, epoch=120, epochs=240)
PRECISION = Precision("float32", True, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
SEARCHES = {  # search: teacher, student, images per batch, parameters other than the declared ones
    "dfa, first order": ("dfa", "wrn-28-4", "wrn-16-2", 64, {}),
    "dfa, second order": ("dfa", "wrn-28-4", "wrn-16-2", 64, {"order": "second"}),
    "sbs": ("sbs_kl", "densenet-bc-100-12", "densenet-bc-100-12", 64, {}),
    "distpro": ("distpro", "wrn-40-2", "wrn-16-2", 128, {}),
}


class Clock:
    """Exclusive time of functions that are wrapped, by label."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inside: list[float] = []

    def wrap(self, owner: Any, name: str, label: str) -> None:
        """Measure every call of `owner.name` from now on."""
        called = getattr(owner, name)

        @wraps(called)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            begun = now()
            try:
                return called(*args, **kwargs)
            finally:
                whole = now() - begun
                own = whole - self._inside.pop()
                self.spent[label] = self.spent.get(label, 0.0) + own
                if self._inside:
                    self._inside[-1] += whole

        setattr(owner, name, timed)


def now() -> float:
    """Seconds, when the device has done what was asked of it."""
    if PRECISION.device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter()


def watched(name: str, searcher: Any, step: SearchStep) -> Clock:
    """A clock on the parts of a search's step."""
    clock = Clock()
    clock.wrap(SearchStep, "__call__", "everything else")
    clock.wrap(step.teacher, "read", "teacher")
    clock.wrap(searcher.optimiser, "step", "optimiser of the weights")
    clock.wrap(torch.autograd, "grad", "backward passes")
    if name == "dfa":
        clock.wrap(searcher, "outer", "forward of validation images")
        clock.wrap(searcher, "inner", "forward of virtual steps")
        clock.wrap(searcher.losses, "forward", "real forward")
        clock.wrap(searcher.beta_optimiser, "step", "optimiser of what is searched")
    elif name == "distpro":
        clock.wrap(searcher.searched, "terms", "real forward")
        clock.wrap(searcher.searched, "outer", "forward of validation images")
        clock.wrap(searcher.searched, "losses", "the two points of the difference")
        clock.wrap(searcher.searched, "directional_derivatives", "derivatives of the losses")
        clock.wrap(searcher.alpha_optimiser, "step", "optimiser of what is searched")
    else:
        clock.wrap(searcher.student, "forward", "real forward")
        clock.wrap(searcher.gates, "move", "proximal step of the gates")
        clock.wrap(searcher, "_measure_share", "counting what is left")
    return clock


def sides(name: str, teacher: str, student: str, batch: int, own: dict[str, Any]) -> Any:
    """The search's step, its searcher, and KD's step, on copies of the same networks."""
    theirs, ours = (PRECISION.place(network(which, 32)) for which in (teacher, student))
    theirs.train()  # untrained running statistics would make its maps explode
    component = find_components().get("search", name, where="benchmark")
    given = component.parameters(scale="paper", pair=f"{teacher}:{student}", overrides={}, where="")
    search = SearchMethod(
        name=name,
        module=component.module,
        class_name=component.class_name,
        parameters={**given, **own},
        teacher_mode=component.teacher_bn,
    )
    mine = copy.deepcopy(theirs if teacher == student else ours).train()
    searcher = make_searcher(search, mine, theirs, REVIEW, 0, PRECISION)
    looking = Teacher(theirs, "batch")
    kd = find_components().get("method", "kd", where="benchmark")
    loss = loss_of(kd, ours, theirs, f"{teacher}:{student}").to(PRECISION.device)
    plain = stepping(loss, ours.train(), looking)
    return searcher, looking, plain


def noise(batch: int) -> Batch:
    """Images and labels."""
    images = torch.randn(batch, 3, 32, 32, device=PRECISION.device)
    labels = torch.randint(100, (batch,), device=PRECISION.device)
    index = torch.arange(batch, device=PRECISION.device)
    return Batch(images.contiguous(memory_format=PRECISION.memory_format), labels, index)


class Same:
    """A loader of validation images that has one batch."""

    steps = 1

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch, whichever is asked for."""
        return self._batch


def kinds_of(searcher: Any) -> dict[Hashable, tuple[float, TrainingPosition]]:
    """The kinds of step that a search takes: the share of each, and where one stands."""
    positions = [TrainingPosition(step, STEPS, 0, 1) for step in range(STEPS)]
    count = Counter(searcher.work(position) for position in positions)
    at = {searcher.work(position): position for position in positions}
    return {kind: (number / STEPS, at[kind]) for kind, number in count.items()}


def label(kind: Hashable) -> str:
    """A kind of step in words.

    >>> label((0, True)), label(None)
    ('group 1, β moves', 'all alike')
    """
    if not isinstance(kind, tuple):
        return "all alike" if kind is None else str(kind)
    group, moves = kind  # of DFA
    return f"group {group + 1}, β {'moves' if moves else 'rests'}"


def measure(title: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Time one search beside KD, then where its time goes."""
    name, teacher, student, declared, own = SEARCHES[title]
    size = asked.batch or declared
    searcher, looking, plain = sides(name, teacher, student, size, own)
    train, validation = noise(size), noise(size)
    loader: Any = None if name.startswith("sbs") else Same(validation)
    step = SearchStep(searcher, looking, loader, REVIEW, 390, PRECISION)
    kinds = kinds_of(searcher)
    contenders = {kind: Contender(partial(step, train, at)) for kind, (_, at) in kinds.items()}
    kd = Contender(partial(plain, train, MIDDLE))
    every: dict[Any, Contender] = {**contenders, "KD": kd}
    take_turns(every, 60 * asked.minutes / len(asked.only), least=asked.rounds)
    mean = sum(share * contenders[kind].median for kind, (share, _) in kinds.items())
    print(
        f"{title}: {teacher} -> {student}, batch {size}: {1e3 * mean:.0f} ms, "
        f"KD {1e3 * kd.median:.0f} ms: {mean / kd.median:.2f} KD steps",
        flush=True,
    )
    usual = max(kinds, key=lambda kind: (kinds[kind][0], str(kind)))
    work = contenders[usual].work
    operations = shares(work)
    return {
        "search": title,
        "pair": f"{teacher} -> {student}",
        "batch": size,
        "kinds": [
            {"kind": label(kind), "share": share, "seconds": contenders[kind].seconds}
            for kind, (share, _) in kinds.items()
        ],
        "kd_seconds": kd.seconds,
        "profiled": label(usual),
        "operations": operations,
        "parts": parts_of(name, searcher, step, work, asked.rounds),
    }


def parts_of(
    name: str, searcher: Any, step: SearchStep, work: Callable[[], Any], rounds: int
) -> dict[str, float]:
    """Exclusive share of each part of a step, largest first."""
    grad, call = torch.autograd.grad, SearchStep.__call__
    try:
        clock = watched(name, searcher, step)
        for _ in range(rounds):
            work()
    finally:
        torch.autograd.grad, SearchStep.__call__ = grad, call  # type: ignore[method-assign]
    whole = sum(clock.spent.values())
    parts = sorted(clock.spent.items(), key=lambda item: -item[1])
    return {label: seconds / whole for label, seconds in parts}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=LEAST, help="at least so many")
    parser.add_argument("--minutes", type=float, default=3.0, help="no round begins later")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=list(SEARCHES), nargs="+", default=list(SEARCHES))
    parser.add_argument("--batch", type=int, help="in place of the search's own")
    parser.add_argument("--out", type=Path, help="folder of search_steps.json; benchmarks/results")
    asked = parser.parse_args()
    runtime = Runtime(threads=asked.threads, precision="float32", channels_last=True)
    prepare_process(runtime, PRECISION.device)  # real float32 on a GPU too
    torch.manual_seed(0)
    searches = [measure(title, asked) for title in asked.only]
    content = {
        "about": about(asked.threads),
        "peak": peak(torch.float32, torch.channels_last, 64),
        "searches": searches,
    }
    print(write("search_steps", content, asked.out))


if __name__ == "__main__":
    main()
