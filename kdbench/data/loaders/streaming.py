"""A loader that decodes while training: for images that do not fit in one array."""

import atexit
import os
import signal
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from kdbench.data.loaders.base import Loader
from kdbench.data.loaders.batch import Batch
from kdbench.data.loaders.decoding import Decoder, DecodingJob, transforms
from kdbench.data.loaders.gpu_decoding import GpuDecoder
from kdbench.data.loaders.order import WHOLE, Part, draws
from kdbench.data.loaders.pixels import Normalise, send
from kdbench.data.stored.arrow import Encoded
from kdbench.errors import BadValue, UserError

WORKERS = "KDBENCH_WORKERS"  # environment: decoding processes of a loader; 0 decodes in between
MOST_WORKERS = 8  # by default
GRACE = 60  # seconds that a worker goes on after SIGTERM
STOPPING = {signal.SIGINT, signal.SIGTERM}
_running: weakref.WeakSet[Generator[Batch, None, None]] = weakref.WeakSet()


class StreamingLoader(Loader):
    """Batches of a split whose encoded images are decoded by worker processes.

    The interface is that of `in_memory.InMemoryLoader`. A batch is a pure function of (seed,
    epoch, step), whatever the number of workers: every image's draws have a seed of their own, of
    (seed, epoch, step, place in the batch). Decoding and resizing may differ in a last bit between
    versions of torchvision and kinds of CPU.

    Training sees a random part of each image (8 to 100 % of its area, 3:4 to 4:3) resized to the
    size that is served, and mirrored with probability 1/2; evaluation sees the middle of the
    image, whose shorter side was resized to 256/224 of that size. Both are torchvision's, on
    tensors, bilinear with antialiasing.

    Source: Szegedy et al., CVPR 2015 (the crop); torchvision's reference training of ImageNet.
    """

    def __init__(
        self,
        encoded: Encoded,
        labels: NDArray[np.int64],
        *,
        image: tuple[int, int, int],
        batch: int,
        augment: str,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format,
        steps_per_epoch: int | None = None,
        index: NDArray[np.int64] | None = None,
        workers: int | None = None,
        decode: str = "cpu",
        part: Part = WHOLE,
    ) -> None:
        """Decode nothing yet.

        Args:
            encoded: images of a prepared split.
            labels: (N,) of the same.
            image: (3, S, S), what is served.
            batch: images in a batch.
            augment: "rrcS-flip", "rrcS" without mirroring, or "none" to train on what evaluation
                sees.
            mean: per channel, in 0..1.
            std: the same.
            seed: of the order and of the augmentation.
            device: where batches go; they get there as bytes and are normalised there.
            memory_format: of a batch's images.
            steps_per_epoch: an epoch ends after so many batches, if it has more.
            index: positions to serve; by default all.
            workers: decoding processes; 0 decodes in this one. By default KDBENCH_WORKERS, or
                else one less than there are cores, 8 at most.
            decode: "gpu" has `device` decode, resize and crop, without other processes.
            part: the part of each batch that is served, see `kdbench.data.loaders.order`.

        Raises:
            UnknownName: another augmentation.
            BadValue: no batch can be made, images of another shape are to be served, or the device
                decodes no JPEG.
        """
        training, plain = transforms(augment, image)
        self._on_gpu = decode == "gpu"
        self._decoder = (
            GpuDecoder(encoded, training, plain, torch.device(device))
            if self._on_gpu
            else Decoder(encoded, training, plain)
        )
        self._labels = labels
        self._index = np.arange(len(labels)) if index is None else np.asarray(index)
        self._device = torch.device(device)
        self._normalise = Normalise(mean, std, device=device, memory_format=memory_format)
        workers = default_workers() if workers is None else workers
        self._workers = 0 if self._on_gpu else workers  # a forked process has no CUDA
        super().__init__(len(self._index), batch, seed, steps_per_epoch, part)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Batches of one epoch from step `start` on, augmented; decoded ahead by the workers."""
        return self._stream(self._job(number, step) for step in range(start, self.steps))

    def batch(self, epoch: int, step: int) -> Batch:
        """See `Loader`; decoded in this process."""
        job = self._job(epoch, step)
        return self._serve(job, self._decoder.batch(job))

    def in_order(self, batch: int) -> Iterator[Batch]:
        """All images once, in the order of the prepared split, as for evaluation.

        Of several ranks, each serves some of the batches.
        """
        starts = self._order.part.in_order(len(self), batch)
        return self._stream(DecodingJob(self._index[s : s + batch].tolist(), None) for s in starts)

    def _job(self, epoch: int, step: int) -> DecodingJob:
        own = self._order.own(step)
        positions = self._index[self._order.places(epoch, step).numpy()[own.start : own.stop]]
        seeds = [draws(self._seed, "augment", epoch, step, place).initial_seed() for place in own]
        return DecodingJob(positions.tolist(), seeds)

    def _stream(self, jobs: Iterable[DecodingJob]) -> Iterator[Batch]:
        stream = self._batches(jobs)
        _running.add(stream)
        return stream

    def _batches(self, jobs: Iterable[DecodingJob]) -> Generator[Batch, None, None]:
        loader = DataLoader(
            self._decoder,
            batch_size=None,  # a job is a batch
            sampler=jobs,
            num_workers=self._workers,
            collate_fn=_as_it_is,
            pin_memory=self._device.type == "cuda" and not self._on_gpu,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # or every epoch would draw from the global one
        )
        batches = _start(loader)
        try:
            for job, pixels in batches:
                images = self._decoder.batch(job) if pixels is None else torch.as_tensor(pixels)
                yield self._serve(job, images)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            reason = " ".join(str(error).split())[:160]
            advice = f"free some memory, enlarge /dev/shm, or set {WORKERS} to a smaller number"
            raise UserError(f"a decoding process ended: {reason}; {advice}") from error
        finally:
            # Workers end with the epoch, also where an error's traceback holds on to the iterator.
            getattr(batches, "_shutdown_workers", lambda: None)()

    def _serve(self, job: DecodingJob, pixels: Tensor) -> Batch:
        """What is decoded goes to the device as bytes, with its labels and positions."""
        images = self._normalise(pixels)
        labels = torch.from_numpy(np.array(self._labels[job.positions], dtype=np.int64))
        index = torch.tensor(job.positions, dtype=torch.int64)
        return Batch(images, send(labels, self._device), send(index, self._device))


def default_workers() -> int:
    """Decoding processes of a loader where nobody says how many.

    Raises:
        BadValue: KDBENCH_WORKERS is no number of processes.
    """
    setting = os.environ.get(WORKERS, "")
    if not setting:
        has_affinity = hasattr(os, "sched_getaffinity")  # the cores of this job, not of the machine
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        return min(MOST_WORKERS, cores - 1)
    if not setting.isdecimal():
        raise BadValue(WORKERS, setting, "a number of processes, 0 or more")
    return int(setting)


def _start(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers: no signal reaches one that is not ready, and none of torch's stays here.

    When a worker dies, torch's handler would raise in the middle of whatever runs, a training
    step for instance; without it the loader itself sees the death, within seconds.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        return iter(loader)
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(_: int) -> None:
    """Leave it to the main process what an interruption means.

    A signal to all processes of a job reaches workers as well; if they ended at once, the main
    one could not finish its step and save.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _as_it_is(item: Any) -> Any:
    """No collating: a job is a whole batch."""
    return item


@atexit.register
def _end_all() -> None:
    """End the workers of streams that nobody closed; Python's own end would wait for them."""
    for stream in list(_running):
        stream.close()
