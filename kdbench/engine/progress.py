"""All that a training changes is one object: saved whole, resumed to the bit."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from kdbench.errors import DamagedData

CHECKPOINT = "checkpoint.pt"


class Stateful(Protocol):
    """A network, an optimiser, a search: whatever can give and take its state."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Inverse of `state_dict`."""
        ...


class Progress:
    """Where a training stands, and everything that it changes.

    Random draws are pure functions of (seed, epoch, step), so positions are all that is needed to
    see the batches that an uninterrupted run would have seen.

    Attributes:
        epoch, step: epochs done, and steps done in the current one.
        sums: sums of the loss terms over the current epoch, on the device.
        curves: values by name, one an epoch (or a look at the test set).
        best: the best look at the test set so far: its metrics, and the network's weights.
        seconds: time spent, summed over resumptions.
    """

    def __init__(self, folder: Path, identity: str, parts: Mapping[str, Stateful]) -> None:
        """Args: folder of the checkpoint, digest of the run, whatever the training changes."""
        self.file = folder / CHECKPOINT
        self.identity = identity
        self.parts = dict(parts)
        self.epoch = 0
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.curves: dict[str, list[float]] = {}
        self.best: dict[str, Any] = {}
        self.seconds = 0.0

    def log(self, values: Mapping[str, float]) -> None:
        """Append one value to each named curve."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append(value)

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add a step's loss terms to the epoch's sums, without waiting for the device."""
        for name, value in terms.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename: it is whole or absent."""
        content = {
            "identity": self.identity,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "curves": self.curves,
            "best": self.best,
            "seconds": self.seconds,
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{CHECKPOINT}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.file)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, device: torch.device) -> bool:
        """Continue from the checkpoint, if there is one.

        Raises:
            DamagedData: the file is not a checkpoint of this run.
        """
        if not self.file.exists():
            return False
        advice = "delete it to start this run afresh"
        try:
            content = torch.load(self.file, map_location=device, weights_only=True)
        except Exception as error:
            first = str(error).splitlines()[0]
            raise DamagedData(self.file, f"unreadable ({first})", "a checkpoint", advice) from None
        if content.get("identity") != self.identity:
            found = f"run {content.get('identity')}"
            raise DamagedData(self.file, found, f"run {self.identity}", advice)
        for name, part in self.parts.items():
            part.load_state_dict(content["parts"][name])
        for name in ("epoch", "step", "sums", "curves", "best", "seconds"):
            setattr(self, name, content[name])
        return True

    def forget(self) -> None:
        """Delete the checkpoint of a finished run."""
        self.file.unlink(missing_ok=True)
