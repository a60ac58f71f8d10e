"""All that a training changes is one object, saved whole and resumed to the bit."""

import time
import warnings
from collections.abc import Callable, Mapping
from errno import EINVAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from torch import Tensor

from kdbench.engine import ranks
from kdbench.engine.checksum import append_checksum, is_intact
from kdbench.errors import DamagedData
from kdbench.store.artifacts import forget_checkpoints
from kdbench.store.atomic import whole_file
from kdbench.store.paths import CHECKPOINT, DAMAGED, PREVIOUS

VALUES = ("epoch", "step", "sums", "curves", "best", "seconds", "wall", "macs", "origins")


class Stateful(Protocol):
    """A network, an optimiser, a search: whatever can give and take its state."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Inverse of `state_dict`."""
        ...


class TrainState:
    """The epoch and step that a training is at, and everything that it changes.

    Random draws are pure functions of (seed, epoch, step), so positions are all that is needed to
    see the batches that an uninterrupted run would have seen.

    Attributes:
        epoch, step: epochs done, and steps done in the current one.
        sums: sums of the loss terms over the current epoch, on the device.
        curves: values by name, one per epoch (or per evaluation on the test set).
        best: the best evaluation on the test set so far: its metrics, and the network's weights.
        seconds: time spent in training steps, summed over resumptions.
        wall: time since this object was made, summed over resumptions, at the last `clock`.
        macs: multiply-adds of the training's steps so far, those of the current epoch's included.
        counts: multiply-adds of a step, by its kind of work.
        origins: where the processes that trained came from (commit, code, versions, device), each
            kind once, with the time when the first of it started.
        resumed: whether it began at a checkpoint.

    Of several ranks the first one writes the checkpoint: all have the same weights, and what norms
    remember is the first one's. The sums of the loss terms are each rank's own.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        parts: Mapping[str, Stateful],
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """Start at the first step.

        Args:
            folder: where the checkpoint lies.
            identity: the run's digest; a checkpoint of another run is refused.
            parts: whatever the training changes, by name.
            origin: where this process comes from, see `origins`.
        """
        self.file = folder / CHECKPOINT
        self.identity = identity
        self.parts = dict(parts)
        self.epoch = 0
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.curves: dict[str, list[float]] = {}
        self.best: dict[str, Any] = {}
        self.seconds = 0.0
        self.wall = 0.0
        self._clocked = time.perf_counter()
        self.macs = 0
        self.counts: dict[str, int] = {}
        self.origin = dict(origin or {})
        self.origins: list[dict[str, Any]] = [self.origin]
        self.resumed = False

    def log(self, values: Mapping[str, float]) -> None:
        """Append one value to each named curve."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add a step's loss terms to the epoch's sums, without waiting for the device."""
        for name, value in terms.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def clock(self) -> float:
        """Add the time that passed since the last call to `wall`, and return that."""
        now = time.perf_counter()
        self.wall += now - self._clocked
        self._clocked = now
        return self.wall

    def save(self) -> None:
        """Write the checkpoint with its checksum, whole or not at all; keep the one before it."""
        self.clock()
        content = {
            "identity": self.identity,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            **{name: getattr(self, name) for name in VALUES},
            "counts": self.counts,
        }
        if ranks.size() > 1:
            content["sums_by_rank"] = {k: ranks.rows(v[None]) for k, v in self.sums.items()}
        if ranks.is_first():
            self._write(content)
        ranks.barrier()  # the others' end would have the first one stopped as it writes

    def _write(self, content: Mapping[str, Any]) -> None:
        """Put the checkpoint in the place of the one before."""
        with whole_file(self.file, previous=self.file.with_name(PREVIOUS)) as temporary:
            with temporary.open("wb") as file:
                torch.save(content, file)  # to an open file: a path's name would be in the bytes
            append_checksum(temporary)

    def load(self, device: torch.device, say: Callable[[str], None] = print) -> bool:
        """Continue from the last checkpoint that is intact, if there is one.

        It is read to the CPU, and every part puts its own where it belongs: Adam's count of steps
        stays there, as on a device each step would wait for it.

        Args:
            device: where the training computes, and the sums of the loss terms go.
            say: called with a line about every damaged checkpoint, which is passed over and kept
                under another name until the run is done.

        Raises:
            DamagedData: an intact checkpoint is not one of this run.
        """
        if ranks.is_first():
            self._load(device, say)
        ranks.barrier()  # damaged files have other names by now
        if not ranks.is_first():
            self._load(device, say)
        ranks.require_alike({"position": torch.tensor([self.epoch, self.step])}, "checkpoint")
        return self.resumed

    def _load(self, device: torch.device, say: Callable[[str], None]) -> None:
        """Stand where the last intact checkpoint stood, if there is one."""
        for file in (self.file, self.file.with_name(PREVIOUS)):
            try:
                content = _read(file) if file.exists() else None
            except DamagedData as damage:
                file.replace(file.with_name(DAMAGED))
                say(str(damage))
                continue
            if content is not None:
                self._take(content, file, device)
                self.resumed = True
                return

    def _take(self, content: dict[str, Any], file: Path, device: torch.device) -> None:
        """Stand where a checkpoint stood."""
        advice = "delete it to start this run afresh"
        if content["identity"] != self.identity:
            other = f"that of run {content['identity']}"
            raise DamagedData(file, other, f"that of run {self.identity}", advice)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(content["parts"][name])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            other = f"another state ({' '.join(str(error).split())[:100]})"
            raise DamagedData(file, other, "the state of this run", advice) from None
        for name in VALUES:
            setattr(self, name, content[name])
        self.counts = content.get("counts", {})  # none in older checkpoints
        for name, by_rank in content.get("sums_by_rank", {}).items():
            same = len(by_rank) == ranks.size()
            self.sums[name] = by_rank[ranks.at_work().rank] if same else by_rank.mean(0)
        self.sums = {name: total.to(device) for name, total in self.sums.items()}
        if _without_time(self.origin) != _without_time(self.origins[-1]):
            self.origins.append(self.origin)

    def forget(self) -> None:
        """Delete the checkpoints of a finished run."""
        forget_checkpoints(self.file.parent)


def _read(file: Path) -> dict[str, Any]:
    """A checkpoint's content; nothing but tensors and plain values is ever unpickled.

    Raises:
        DamagedData: the file is not what a run wrote.
    """
    expected = "a checkpoint of tensors and plain values"
    before = file.name == CHECKPOINT and file.with_name(PREVIOUS).exists()
    advice = "the run goes on from the one before" if before else "the run begins anew"
    if is_intact(file) is False:
        raise DamagedData(file, "content that differs from its checksum", expected, advice)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickle protocols
            content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError:
        refused = "content that is refused without being run"
        raise DamagedData(file, refused, expected, advice) from None
    except Exception as error:
        # Where a file is cut at some places, PyTorch seeks before its start: an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise  # the disk cannot be read; the file need not be damaged
        raise DamagedData(file, f"unreadable ({_first(error)})", expected, advice) from None
    if not isinstance(content, dict) or not {"identity", "parts", *VALUES} <= content.keys():
        raise DamagedData(file, "another layout", expected, advice)
    return content


def _first(error: Exception) -> str:
    """The kind of an error and the first sentence that it says."""
    return f"{type(error).__name__} {error}".splitlines()[0].partition(". ")[0]


def _without_time(origin: Mapping[str, Any]) -> dict[str, Any]:
    """An origin but for its time."""
    return {key: value for key, value in origin.items() if key != "started"}
