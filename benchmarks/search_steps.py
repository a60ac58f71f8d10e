"""What a step of each search costs, as a multiple of a KD step, and where its time goes.

    python benchmarks/search_steps.py --rounds 3

Per search: the pair and the batch of its paper's first exhibit, its declared parameters, the
teacher's passes included, turn by turn with KD's step of the same pair and batch in one process, on
noise, in float32 and channels-last. Then the exclusive share of each part of a step: what a part
calls counts for what is called. Both sides use the classes that the phases use.
"""

import argparse
import copy
from collections.abc import Callable
from functools import wraps
from statistics import median
from time import perf_counter
from typing import Any

import torch
from losses import loss_of, stepping
from metagradient import network

from kdbench.data.loaders.batch import Batch
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision, prepare_process
from kdbench.exhibits.protocols import REVIEW
from kdbench.plan.components import find_components
from kdbench.runs.assemble import Teacher, make_searcher
from kdbench.runs.search import SearchStep
from kdbench.store.parts import Runtime, SearchMethod

MIDDLE = TrainingPosition(step=5000, steps=10000, epoch=120, epochs=240)
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


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begun = now()
    work()
    return now() - begun


def measure(title: str, rounds: int) -> None:
    """Time one search beside KD, then print the multiple and the shares."""
    name, teacher, student, size, own = SEARCHES[title]
    searcher, looking, plain = sides(name, teacher, student, size, own)
    train, validation = noise(size), noise(size)
    loader: Any = None if name.startswith("sbs") else Same(validation)
    step = SearchStep(searcher, looking, loader, REVIEW, 390, PRECISION)
    works = {"search": lambda: step(train, MIDDLE), "KD": lambda: plain(train, MIDDLE)}
    for work in works.values():
        work()
    spent: dict[str, list[float]] = {which: [] for which in works}
    for _ in range(rounds):
        for which, work in works.items():
            spent[which].append(timed(work))
    search, kd = (median(spent[which]) for which in works)
    print(
        f"{title}: {teacher} -> {student}, batch {size}: {1e3 * search:.0f} ms, "
        f"KD {1e3 * kd:.0f} ms: {search / kd:.2f} KD steps"
    )
    grad, call = torch.autograd.grad, SearchStep.__call__
    try:
        clock = watched(name, searcher, step)
        for _ in range(rounds):
            step(train, MIDDLE)
    finally:
        torch.autograd.grad, SearchStep.__call__ = grad, call  # type: ignore[method-assign]
    whole = sum(clock.spent.values())
    for label, seconds in sorted(clock.spent.items(), key=lambda item: -item[1]):
        print(f"    {label:36}{seconds / whole:7.1%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=list(SEARCHES), nargs="+", default=list(SEARCHES))
    asked = parser.parse_args()
    runtime = Runtime(threads=asked.threads, precision="float32", channels_last=True)
    prepare_process(runtime, PRECISION.device)  # real float32 on a GPU too
    torch.manual_seed(0)
    print(f"{PRECISION.device}, {asked.threads} thread(s), float32, torch {torch.__version__}")
    for title in asked.only:
        measure(title, asked.rounds)


if __name__ == "__main__":
    main()
