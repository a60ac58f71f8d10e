"""What a job asks of the machine that runs it: GPUs, minutes, memory. The only place that says so.

Where `kdbench estimate --save` has timed a run, its job asks for the minutes and, on a CPU, the
memory that follow from that. The other figures are declared here: upper estimates by phase and
pair, so that a scheduler neither refuses a job nor ends it early. None of them changes a number: a
job that reaches its time limit leaves a checkpoint and goes on in its next attempt, and one that
ran out of memory asks for more.
"""

import math
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from kdbench.errors import BadValue
from kdbench.plan.components import Components, find_components
from kdbench.plan.declarations import DatasetDeclaration
from kdbench.plan.params import Params
from kdbench.store.gpu_sharing import runs_per_gpu
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import EvaluationRun, SearchRun, StudentRun
from kdbench.store.teacher_runs import (
    ComputingRun,
    DataRun,
    TeacherRun,
    ranks_of,
    speed_up,
    synchronises,
)
from kdbench.store.timings import Timing, Timings, choose_timings

GPUS = "KDBENCH_GPUS"  # GPUs that a job asks for, whatever is visible here
LONGEST = "KDBENCH_JOB_MINUTES"  # the longest time that a job may ask for
DAY = 1440  # minutes; what most clusters allow

MEMORY = {"data": 4000, "teacher": 8000, "search": 12000, "student": 8000, "evaluation": 4000}
DECODING = 8000  # MB more where images are decoded by processes of their own
TIMED_MEMORY = 1.5  # of what a timed run held: real images, checkpoints, a report of the test set
LEAST_MEMORY = 2000  # MB of any job
STREAMED = 128  # pixels per side from which on images are not held in memory

START = 20  # minutes in which a job starts Python on a busy file system, and ends
MARGIN = 2.0  # test images, checkpoints, a device that is shared or older
STEP = 0.1  # seconds of a step of small images on a GPU, which waits for its kernels
GPU_PIXELS = 2e7  # pixels per second, of a teacher and a student on a GPU
CPU_PIXELS = 3e4  # and on one slow core
SEARCH = 5.0  # a search's step costs up to so many of a student's
IMAGES_PREPARED = 5000  # per minute, from class folders on a network file system
MEASURED = 5  # minutes per network that an evaluation measures


class Requests:
    """What the jobs of a plan ask for.

    Args:
        params: what the user asked for.
        local: whether the jobs run on this machine; asked late, because Snakemake knows it late.
        timings: what was timed, see `store.timings`. Jobs that run here take those of this machine,
            jobs of a cluster the newest of the kind of device that they ask for.

    Raises:
        BadValue: one of the variables `KDBENCH_GPUS` and `KDBENCH_JOB_MINUTES` is no such number.
    """

    def __init__(
        self, params: Params, local: Callable[[], bool], timings: Sequence[Timings] = ()
    ) -> None:
        self._components: Components = find_components(params.plugins)
        self._smoke = params.scale == "smoke"
        self._local, self._timings = local, timings
        self._given = _number(GPUS, 0)
        self._longest = _number(LONGEST, 1) or DAY

    def gpus(self, runs: Sequence[RunSpec]) -> int:
        """GPUs of one job: what `KDBENCH_GPUS` says, else one per rank where there are any.

        Whether a cluster's nodes have GPUs is not seen here, so its jobs ask for them. Runs of
        smoke are seconds long: asking for a GPU would keep them from sharing the cores.
        """
        if all(isinstance(run, DataRun) for run in runs):
            return 0
        if self._given is not None:
            return self._given
        if self._smoke:
            return 0
        ranks = max(map(ranks_of, runs))
        return min(ranks, self._visible) if self._local() else ranks

    def processes(self, runs: Sequence[RunSpec]) -> int:
        """How many processes one job starts: one per rank.

        Fewer on fewer GPUs, where norms are synchronised; records note it.
        """
        ranks = max(map(ranks_of, runs))
        whole = all(synchronises(run) for run in runs if ranks_of(run) > 1)
        if not whole or not self._local() or not 0 < self._visible < ranks:
            return ranks
        return max(n for n in range(1, self._visible + 1) if ranks % n == 0)

    def minutes(self, runs: Sequence[RunSpec]) -> int:
        """The time of one job that makes these runs one after the other."""
        seconds = sum(self._seconds(run, bool(self.gpus([run]))) for run in runs)
        return min(self._longest, START + math.ceil(MARGIN * seconds / 60))

    def memory(self, runs: Sequence[RunSpec], attempt: int = 1) -> int:
        """MB of main memory of one job; twice as much where its first attempt failed."""
        return min(attempt, 2) * max(ranks_of(run) * self._memory(run) for run in runs)

    def hours(self, runs: Iterable[RunSpec]) -> float:
        """How long runs take one after the other: as timed, or by the figures declared here."""
        return sum(self._seconds(run, bool(self.gpus([run]))) for run in runs) / 3600

    def timed(self, runs: Iterable[RunSpec]) -> int:
        """How many of the runs were timed."""
        return sum(self._timing(run) is not None for run in runs)

    def announcement(self, runs: Iterable[RunSpec] = ()) -> str:
        """What a reader should know of the requests before long jobs start; "" at scale smoke.

        Args:
            runs: those that are to be made.
        """
        if self._smoke:
            return ""
        return " ".join([self._of_gpus(), self._of_timings(runs)]).rstrip()

    def _of_timings(self, runs: Iterable[RunSpec]) -> str:
        timed = Counter(
            (timings.name, timings.node, timings.taken)
            for run in runs
            if (timings := self._timed_on(run)) and run.digest in timings.runs
        )
        return " ".join(
            f"{count} runs ask for the time that was measured on {name} of {node} ({taken})."
            for (name, node, taken), count in timed.items()
        )

    def _of_gpus(self) -> str:
        change = f"{GPUS}=N in the environment changes it"
        if self._given is not None:
            return f"Each job that computes asks for {self._given} GPU, as {GPUS} says."
        if not self._local():
            return f"Each job that computes asks the scheduler for one GPU ({change})."
        if self._visible:
            return f"Each job that computes asks for one of the GPUs seen here ({change})."
        return f"No GPU is seen here, so jobs ask for none and compute on the CPU ({change})."

    @cached_property
    def _visible(self) -> int:
        return visible_gpus()

    def _timed_on(self, run: RunSpec) -> Timings | None:
        """The timings of the kind of device that a run's job will have."""
        device = "cuda" if self.gpus([run]) else "cpu"
        return choose_timings(self._timings, device, platform.node() if self._local() else None)

    def _timing(self, run: RunSpec) -> Timing | None:
        timings = self._timed_on(run) if self._timings else None
        return timings.runs.get(run.digest) if timings else None

    def _memory(self, run: RunSpec) -> int:
        timing = self._timing(run)
        if timing is None or timing.memory is None:
            return MEMORY[run.phase] + self._images_mb(run)
        return max(LEAST_MEMORY, math.ceil(TIMED_MEMORY * timing.memory / 1e6))

    def _seconds(self, run: RunSpec, on_gpu: bool) -> float:
        return self._seconds_alone(run, on_gpu) / speed_up(run)

    def _seconds_alone(self, run: RunSpec, on_gpu: bool) -> float:
        """The same of one process that does the whole run."""
        if timing := self._timing(run):
            return timing.seconds
        if isinstance(run, EvaluationRun):
            return 60.0 * MEASURED * len(run.runs)
        declared = self._declared(run)
        images = declared.splits.get("train") or declared.images
        if isinstance(run, DataRun):
            return 60.0 * sum(declared.splits.values()) / IMAGES_PREPARED
        if not isinstance(run, TeacherRun | SearchRun | StudentRun):
            return 60.0 * MEASURED  # an imported teacher is measured
        if not images or not declared.image:
            return 60.0 * self._longest  # a plug-in's, which does not say how large it is
        recipe = run.recipe
        steps = math.ceil(images * run.data.train_share / recipe.batch)
        steps = min(steps, recipe.steps_per_epoch or steps) * recipe.epochs
        pixels = recipe.batch * declared.image[1] * declared.image[2]
        step = STEP + pixels / GPU_PIXELS if on_gpu else pixels / CPU_PIXELS
        return steps * step * (SEARCH if isinstance(run, SearchRun) else 1.0)

    def _images_mb(self, run: RunSpec) -> int:
        """MB for the images: all of them, twice, or the processes that decode them."""
        declared = self._declared(run)
        channels, height, width = declared.image or (3, STREAMED, STREAMED)
        if max(height, width) >= STREAMED:
            return DECODING
        images = sum(declared.splits.values()) or declared.images or 0
        return 2 * images * channels * height * width // 10**6

    def _declared(self, run: RunSpec) -> DatasetDeclaration:
        data = run.data if isinstance(run, ComputingRun) else run
        stand_in = data.stand_in if isinstance(data, DataRun) else None
        name = stand_in.name if stand_in else run.dataset
        return self._components.get("dataset", name, where="requests").declaration


def runs_at_once() -> int:
    """How many runs may compute on this machine's GPUs at a time, see `runs_per_gpu`.

    Raises:
        BadValue: see there.
    """
    return visible_gpus() * runs_per_gpu()


def visible_gpus() -> int:
    """How many GPUs processes of this machine may use, without importing torch.

    Those of `CUDA_VISIBLE_DEVICES` where it is set, else NVIDIA's device files, else what
    `nvidia-smi` lists (WSL2 has no device files), else AMD's.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([name for name in named.split(",") if name.strip() not in ("", "-1")])
    files = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return files or (_listed() if Path("/dev/dxg").exists() else 0) or _of_amd()


def _listed() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return listed.stdout.count("GPU ")


def _of_amd() -> int:
    nodes = Path("/sys/class/kfd/kfd/topology/nodes").glob("*/gpu_id")  # 0 for a CPU
    return sum(node.read_text().strip() not in ("", "0") for node in nodes)


def _number(variable: str, least: int) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise BadValue(variable, text, f"a whole number of at least {least}")
    return int(text)
