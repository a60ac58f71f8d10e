"""What every kind of work of a plan costs: multiply-adds, seconds, memory, disk."""

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from kdbench.data.loaders.mapped import image_measured
from kdbench.engine.memory import forget_peak, peak_memory
from kdbench.engine.precision import Precision, prepare_process
from kdbench.errors import UserError
from kdbench.evaluate import cost
from kdbench.evaluate.tasks import task_of
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble
from kdbench.runs.estimate.kinds import Forward, Forwards, Kind, Sizes, kinds_of
from kdbench.runs.estimate.noise import NoiseInputs, noise_like, settle
from kdbench.runs.estimate.throughput import Timing, Unit, declare, scale, time_units
from kdbench.runs.estimate.trial import (
    SMALL,
    Trial,
    build_trial,
    median_seconds,
    save_blank,
    with_peak,
)
from kdbench.runs.evaluation import LATENCY_SECONDS, SMOKE_LATENCY_SECONDS
from kdbench.store.parts import Runtime
from kdbench.store.paths import Paths
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, SearchRun

FORWARD_BATCH = 100  # images of a timed pass
SAY_EVERY = 10.0  # seconds between two lines
Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Budget:
    """How long to time.

    Attributes:
        seconds: for each kind of work.
        minutes: for all of them; what is left then is scaled by multiply-adds.
        tflops: a declared throughput in place of any timing, see `throughput.declare`.
    """

    seconds: float = 2.0
    minutes: float = 5.0
    tflops: float | None = None


@dataclass
class Work:
    """What one run of a kind costs.

    Attributes:
        steps: training steps.
        macs: multiply-adds of these, as the run's record will say them.
        unit: the step that most epochs are made of.
        typical: an epoch of such steps.
        artifact_bytes: what stays on disk.
        checkpoint_bytes: what is there besides while it runs.
    """

    steps: int
    macs: int
    unit: Unit
    typical: int
    artifact_bytes: int
    checkpoint_bytes: int

    @property
    def seconds(self) -> float | None:
        """Of all steps; those unlike most are scaled by their multiply-adds."""
        if self.unit.seconds is None:
            return None
        scaled = self.macs / self.unit.macs if self.unit.macs else self.steps
        return self.unit.seconds * scaled


@dataclass
class Measured:
    """The costs of a plan's runs.

    Attributes:
        work: by the digest of every training and search, that of its kind.
        forwards: the networks that are measured.
        passes: a forward pass of one image of these, by `Forward.key`.
    """

    work: dict[str, Work]
    forwards: Forwards
    passes: dict[str, Unit] = field(default_factory=dict)

    @property
    def units(self) -> list[Unit]:
        """Everything that is timed or scaled, once."""
        steps = {id(work.unit): work.unit for work in self.work.values()}
        return [*steps.values(), *self.passes.values()]

    def seconds_of(self, run: RunSpec) -> tuple[float | None, float]:
        """Seconds of one run on its device, None where nothing says; and how many were timed."""
        parts: list[tuple[float | None, bool]] = []
        if run.digest in self.work:
            work = self.work[run.digest]
            parts.append((work.seconds, work.unit.timed))
        for forward, images in self.forwards.images_of(run):
            unit = self.passes[forward.key]
            parts.append((None if unit.seconds is None else images * unit.seconds, unit.timed))
        if isinstance(run, EvaluationRun):
            budget = SMOKE_LATENCY_SECONDS if run.scale == "smoke" else LATENCY_SECONDS
            parts.append((budget, True))  # it measures latency for so long
        timed = sum(seconds or 0.0 for seconds, was_timed in parts if was_timed)
        if any(seconds is None for seconds, _ in parts):
            return None, timed
        return sum(seconds or 0.0 for seconds, _ in parts), timed

    def memory_of(self, run: RunSpec) -> int | None:
        """The largest memory of a run's steps or, without any, its passes; None if not timed."""
        if run.digest in self.work:
            return self.work[run.digest].unit.memory
        held = [self.passes[forward.key].memory for forward, _ in self.forwards.images_of(run)]
        known = [memory for memory in held if memory is not None]
        return max(known) if known and len(known) == len(held) else None


def measure(
    runs: Iterable[RunSpec],
    sizes: Sizes,
    paths: Paths,
    device: torch.device,
    budget: Budget,
    say: Say,
) -> Measured:
    """Count and time the work of runs.

    Args:
        runs: that are not finished.
        sizes: gives the size of a run's data.
        paths: of the project, of which nothing is changed.
        device: that computes.
        budget: how long to time.
        say: told what begins, and every ten seconds how far it is.

    Raises:
        UserError: a run's step cannot be built or taken.
    """
    runs = list(runs)
    by_run, forwards = kinds_of(runs, sizes), Forwards(sizes)
    for run in runs:
        for forward, images in forwards.images_of(run):
            forward.images += images
    with tempfile.TemporaryDirectory(prefix="kdbench-estimate-") as folder:
        bench = _Bench(device, paths, sizes, Path(folder), say)
        kinds = {id(kind): kind for kind in by_run.values()}
        work = bench.count(kinds)
        passes = bench.count_passes(forwards)
        measured = Measured({d: work[id(kind)] for d, kind in by_run.items()}, forwards, passes)
        if budget.tflops is not None:
            declare(measured.units, budget.tflops)
            return measured
        bench.time([(kind, work[key]) for key, kind in kinds.items()], measured, budget)
    scale(measured.units)
    return measured


@dataclass
class _Bench:
    """Where trials are made; fields as for `measure`, and a temporary folder."""

    device: torch.device
    paths: Paths
    sizes: Sizes
    scratch: Path
    say: Say
    _spoken: float = field(default_factory=time.monotonic)

    def count(self, kinds: dict[int, Kind]) -> dict[int, Work]:
        """Multiply-adds and bytes of every kind."""
        counted = {}
        if kinds:
            self.say(f"counting the multiply-adds of {len(kinds)} kinds of work")
        for place, (key, kind) in enumerate(kinds.items()):
            self._tell(f"counted {place} of {len(kinds)} kinds of work")
            with _one_line(kind.name):
                # Small batches alone: a whole one of large images is a second to make.
                trial = self._trial(kind, self._counting(kind), max(SMALL))
                counted[key] = _count(kind, trial)
        return counted

    def count_passes(self, forwards: Forwards) -> dict[str, Unit]:
        """Multiply-adds of a forward pass of every network that is measured."""
        units = {}
        for place, (key, forward) in enumerate(forwards.by_key.items()):
            self._tell(f"counted {place} of {len(forwards.by_key)} networks that are measured")
            network = self._network(forward, self._counting(forward))
            data = noise_like(forward.run.dataset, forward.size)
            macs = cost.multiply_adds(network, image_measured(data, forward.run.recipe))
            units[key] = Unit(forward.name, forward.families, macs, forward.images)
        return units

    def time(self, work: list[tuple[Kind, Work]], measured: Measured, budget: Budget) -> None:
        """Time steps and passes, as far as the budget goes."""
        jobs: dict[int, Callable[[], Timing]] = {}
        for kind, one in work:
            jobs[id(one.unit)] = partial(self._step, kind, one, budget.seconds)
        for key, forward in measured.forwards.by_key.items():
            unit = measured.passes[key]
            jobs[id(unit)] = partial(self._pass, forward, budget.seconds)

        if jobs:
            self.say(f"timing {len(jobs)} kinds of work and networks, {_most(budget)}")
        begun = 0

        def timed(unit: Unit) -> Timing:
            nonlocal begun
            begun += 1
            self._tell(f"timing {begun} of {len(jobs)}: {unit.name}")
            with _one_line(unit.name):
                return jobs[id(unit)]()

        time_units(measured.units, timed, 60 * budget.minutes)

    def _step(self, kind: Kind, work: Work, seconds: float) -> Timing:
        gc.collect()
        forget_peak(self.device)
        trial = self._trial(kind, self._precision(kind.run.runtime))
        return with_peak(trial, work.typical, kind.run.recipe.batch, seconds)

    def _pass(self, forward: Forward, seconds: float) -> Timing:
        gc.collect()
        forget_peak(self.device)
        precision = self._precision(forward.run.runtime)
        network = self._network(forward, precision)
        data = noise_like(forward.run.dataset, forward.size)
        task = task_of(network)
        batch = max(2, min(FORWARD_BATCH, task.at_once(network)))
        recipe = forward.run.recipe
        recipe = replace(recipe, batch=batch, augment=recipe.view or "none")
        loader = assemble.make_loader(
            data.training_only(),
            "train",
            recipe,
            0,
            precision,
            index=range(min(batch, len(data.labels("train")))),
        )
        settle(network, loader.batch(0, 0).images)
        images = len(loader)
        median = median_seconds(
            lambda: task.look(network, loader.in_order(batch), precision), precision, seconds
        )
        return Timing(median / images, peak_memory(self.device))

    def _trial(self, kind: Kind, precision: Precision, images: int | None = None) -> Trial:
        return build_trial(kind.run, self._inputs(precision), kind.length, precision, images)

    def _precision(self, runtime: Runtime) -> Precision:
        """Number format of a run; random images are decoded nowhere."""
        return prepare_process(replace(runtime, decode="cpu"), self.device)

    def _network(self, forward: Forward, precision: Precision) -> StagedNetwork:
        inputs = self._inputs(precision)
        data = inputs.data(forward.run.data)
        return assemble.trained_network(forward.run, data, 0, inputs, precision)

    def _inputs(self, precision: Precision) -> NoiseInputs:
        def blank(run: SearchRun, folder: Path) -> None:
            save_blank(run, folder, inputs, precision)

        inputs = NoiseInputs(
            self.paths, scratch=self.scratch, sizes=self.sizes, precision=precision, blank=blank
        )
        return inputs

    def _counting(self, work: Kind | Forward) -> Precision:
        """Number format of what is only counted: the counts are the same in every one."""
        return self._precision(replace(work.run.runtime, precision="float32"))

    def _tell(self, line: str) -> None:
        if time.monotonic() - self._spoken >= SAY_EVERY:
            self._spoken = time.monotonic()
            self.say(line)


def _count(kind: Kind, trial: Trial) -> Work:
    """The work of one run of a kind."""
    batch, steps = kind.run.recipe.batch, kind.length.steps
    epochs = trial.epochs_by_work()
    counts = {epoch: trial.count_whole(epoch, batch) for epoch in epochs}
    typical = max(epochs, key=lambda epoch: epochs[epoch])
    total = trial.epochs * steps
    return Work(
        steps=total,
        macs=sum(counts[epoch] * number for epoch, number in epochs.items()) * steps,
        unit=Unit(kind.name, kind.families, counts[typical], total * kind.runs),
        typical=typical,
        artifact_bytes=trial.artifact_bytes,
        checkpoint_bytes=trial.checkpoint_bytes,
    )


def _most(budget: Budget) -> str:
    """How long all timings take at most, in words."""
    return f"for at most {budget.minutes:g} minutes; the others are scaled"


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Whatever a component raises becomes one line that names the kind of work."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # a plug-in may fail in any way
        reason = " ".join(str(error).split())[:200]
        advice = "`kdbench check` tries every planned combination"
        raise UserError(f"{name}: cannot run: {type(error).__name__}: {reason}; {advice}") from None
