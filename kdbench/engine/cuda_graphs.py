"""Records training steps as CUDA graphs, where the device and the user have them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from kdbench.engine.replay import NOT_REPLAYED, Recorder, Recording, Replay, Step
from kdbench.engine.train_state import Stateful
from kdbench.errors import BadValue

SETTING = "KDBENCH_GRAPHS"  # environment: "on" (where there is CUDA) or "off"


def uses_graphs(device: torch.device) -> bool:
    """Whether steps on a device are recorded: on NVIDIA's GPUs, unless KDBENCH_GRAPHS is "off".

    Raises:
        BadValue: KDBENCH_GRAPHS is neither "on" nor "off".
    """
    chosen = os.environ.get(SETTING, "") or "on"
    if chosen not in ("on", "off"):
        raise BadValue(SETTING, chosen, "'on' or 'off'")
    return chosen == "on" and device.type == "cuda" and torch.version.cuda is not None


def replayed(
    step: Step,
    parts: Mapping[str, Stateful],
    device: torch.device,
    uncaptured: str,
    say: Callable[[str], None],
) -> Step:
    """A step that is replayed where the device and the method let it; else the step itself.

    Args:
        step: see `Replay`; `parts` and `say` too.
        parts: as above.
        device: of the training.
        uncaptured: why steps of this method cannot be recorded; empty where they can.
        say: as above.
    """
    if not uses_graphs(device):
        return step
    if uncaptured:
        say(f"{NOT_REPLAYED}: {uncaptured}")
        return step
    return Replay(step, parts, CudaRecorder(device), say)


class CudaRecorder(Recorder):
    """Every step on one stream of its own, in memory of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Between what was asked for before and what will be asked for after, in this order."""
        outside = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    def record(self, work: Callable[[], None], state: list[Tensor]) -> Recording:
        """Capture a graph; nothing is computed, so the state stays as it is."""
        graph: Any = torch.cuda.CUDAGraph()
        # Other threads may go on pinning memory and asking for it.
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        except RuntimeError:
            self._end_failed_capture()
            raise
        recording: Recording = graph
        return recording

    def _end_failed_capture(self) -> None:
        """Let the allocator free memory again, which PyTorch forgets after a failed capture."""
        device = self._device.index
        with suppress(RuntimeError):
            _private("_cuda_endAllocateToPool")(
                torch.cuda.current_device() if device is None else device, self._pool
            )


def _private(name: str) -> Callable[..., Any]:
    """A function of PyTorch's that has no public name; it does nothing where there is none."""
    function: Callable[..., Any] = getattr(torch._C, name, lambda *_: None)
    return function


def count_on_device(parts: Iterable[Any], device: torch.device) -> None:
    """Keep every Adam's count of steps where it computes: on CUDA there, else on the CPU.

    On CUDA a graph can then hold its step, and no step waits for the count. A checkpoint may come
    from the other kind of device. So it is done once it is read, before the first step.

    Args:
        parts: of a training: optimisers, or objects that have some as attributes.
        device: of the training.
    """
    on_device = device.type == "cuda"
    for optimiser in _optimisers(parts):
        for group in optimiser.param_groups:
            if "capturable" in group:
                group["capturable"] = on_device
        for parameter, state in optimiser.state.items():
            if "step" in state:
                place = parameter.device if on_device else torch.device("cpu")
                state["step"] = state["step"].to(place)


def _optimisers(parts: Iterable[Any]) -> Iterator[Optimizer]:
    """The optimisers among the parts and their attributes, each once."""
    seen: set[int] = set()
    for part in parts:
        for value in (part, *vars(part).values()):
            if isinstance(value, Optimizer) and id(value) not in seen:
                seen.add(id(value))
                yield value
