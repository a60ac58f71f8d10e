"""Time and memory of every distillation loss, and what its whole training step costs.

    python benchmarks/losses.py --pair resnet32x4:resnet8x4 --batch 64 --rounds 3

All methods run in one process, turn by turn, on noise. "loss" is forward and backward of the loss
alone, from the networks' maps to their gradients; its memory is the peak of what is allocated
meanwhile. "step" is a whole training step by `kdbench.runs.steps.TrainStep` (the teacher's look,
both passes of the student, the loss, the optimiser; of AB the first part's), and "over plain" is
what it takes beyond the same step without teacher and loss.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from kdbench.data.loaders.batch import Batch
from kdbench.engine.optimisers import make_optimiser
from kdbench.engine.position import TrainingPosition
from kdbench.engine.precision import Precision, prepare_process
from kdbench.exhibits.protocols import CRD
from kdbench.models.stages import Features, StagedNetwork
from kdbench.plan.components import Component, find_components
from kdbench.plan.params import Params
from kdbench.plan.resolve import Resolver
from kdbench.runs.assemble import Teacher, find_class, find_loss, make_searcher
from kdbench.runs.steps import FirstStep, TrainStep
from kdbench.store.parts import Runtime

MIDDLE = TrainingPosition(step=5000, steps=10000, epoch=120, epochs=240)
STILL = replace(CRD, lr=1e-9)  # all methods step the same student: it must stay sane
IMAGES = 50_000  # of the training set, for the methods that remember all of it


def network(name: str) -> StagedNetwork:
    """A freshly initialised network for 100 classes."""
    found = find_components().get("network", name, where="--pair")
    cls = find_class(found)
    return cls(**found.arguments, classes=100)


def loss_of(method: Component, student: StagedNetwork, teacher: StagedNetwork, pair: str) -> Any:
    """A method's loss with its declared parameters for the pair."""
    given = method.parameters(scale="paper", pair=pair, overrides={}, where="benchmark")
    given = {k: v for k, v in given.items() if k not in ("task_weight", "teacher_bn")}
    cls = find_loss(method)
    if cls.takes_labels():
        given["labels"] = torch.arange(IMAGES) * 100 // IMAGES
    if method.search is not None:
        given["scheme"] = blank_scheme(method.search, student, teacher, pair)
    return cls(student, teacher, **given)


def blank_scheme(name: str, student: StagedNetwork, teacher: StagedNetwork, pair: str) -> Any:
    """What a search with its declared parameters finds before its first step."""
    resolver = Resolver(Params(scale="paper"), find_components())
    search, _ = resolver.search(resolver.get("search", name), pair, ())
    precision = Precision("float32", False, next(student.parameters()).device)
    return make_searcher(search, student, teacher, CRD, 0, precision).blank()


def leaves(seen: Features) -> Features:
    """The same maps as the ends of the graph, so that a backward pass stops at them."""

    def end(maps: list[Tensor]) -> list[Tensor]:
        return [m.detach().requires_grad_() for m in maps]

    kinds = end(seen.pre), end(seen.post), end(seen.out), [end(b) for b in seen.blocks]
    return Features(seen.logits.detach().requires_grad_(), *kinds, *end([seen.pooled]))


def alone(loss: Any, student: StagedNetwork, teacher: Teacher, batch: Batch) -> Callable[[], None]:
    """Forward and backward of the loss, from maps that are there when the clock starts."""
    graph = loss.images_need_grad
    batch = batch._replace(images=batch.images.clone().requires_grad_(graph))
    theirs = teacher.read(batch.images, graph=graph)
    ours = student.read(batch.images) if graph else leaves(student.read(batch.images))

    def work() -> None:
        terms = dict(loss(ours, theirs, batch, MIDDLE))
        if loss.first is not None and not terms:
            terms = loss.first_terms(ours, theirs, batch, MIDDLE)
        torch.stack(list(terms.values())).sum().backward()

    return work


def stepping(
    loss: Any, student: StagedNetwork, teacher: Teacher | None, name: str = "float32"
) -> Any:
    """The training step of a method, or of plain training without loss, in a number format."""
    precision = Precision(name, False, next(student.parameters()).device)
    trained: list[nn.Module] = [student] + ([] if loss is None else [loss.trained_with_student()])
    optimiser = make_optimiser(STILL, *trained)
    if loss is not None and loss.first is not None and loss.first.trains_trunk:
        return FirstStep(student, teacher, loss, loss.first, optimiser, precision)
    return TrainStep(student, teacher, loss, 1.0, optimiser, STILL, 782, precision)


def milliseconds(work: Callable[[], Any], device: torch.device) -> float:
    """How long it takes, the device's queue emptied before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun = perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (perf_counter() - begun)


def peak_mib(work: Callable[[], Any], device: torch.device) -> float:
    """MiB allocated at the peak, beyond what was there before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    level = peak = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak / 2**20


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", default="resnet32x4:resnet8x4", help="teacher:student")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    runtime = Runtime(threads=options.threads, precision="float32", channels_last=False)
    torch.set_flush_denormal(True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepare_process(runtime, device)  # real float32 on a GPU too
    teacher, student = (network(name).to(device) for name in options.pair.split(":"))
    looking = Teacher(teacher.train(), "batch")  # untrained statistics: its maps would explode
    labels = torch.randint(100, (options.batch,), device=device)
    index = torch.arange(options.batch, device=device)
    batch = Batch(torch.randn(options.batch, 3, 32, 32, device=device), labels, index)
    methods = [
        find_components().get("method", n, where="") for n in find_components().names("method")
    ]
    losses = {
        m.name: loss_of(m, student, teacher, options.pair).to(device)
        for m in methods
        if m.needs_teacher
    }
    steps = {name: stepping(loss, student, looking) for name, loss in losses.items()}
    steps["plain"] = stepping(None, student, None)
    memory = {n: peak_mib(alone(x, student, looking, batch), device) for n, x in losses.items()}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for name, step in steps.items():
            spent = milliseconds(lambda step=step: step(batch, MIDDLE), device)
            times.setdefault(("step", name), []).append(spent)
        for name, loss in losses.items():
            spent = milliseconds(alone(loss, student, looking, batch), device)
            times.setdefault(("loss", name), []).append(spent)
    middle = {key: median(values) for key, values in times.items()}
    plain = middle.pop(("step", "plain"))
    print(f"{options.pair}, batch {options.batch}, {device}, {options.threads} thread(s), float32")
    print(f"median of {options.rounds} rounds; a plain training step takes {plain:.1f} ms")
    print(f"{'method':16s}{'loss, ms':>10s}{'MiB':>9s}{'step, ms':>10s}{'over plain':>12s}")
    for name in sorted(losses, key=lambda name: middle["step", name]):
        loss, step = middle["loss", name], middle["step", name]
        print(f"{name:16s}{loss:10.1f}{memory[name]:9.1f}{step:10.1f}{step / plain - 1:+12.0%}")


if __name__ == "__main__":
    main()
