"""When a job must stop before its end: a time limit, or a scheduler's SIGTERM."""

import os
import signal
import time
from dataclasses import dataclass, field
from types import FrameType

PATIENCE = 3.0  # schedulers and terminals may send the same request twice


@dataclass
class Stopper:
    """Says between two steps whether to stop, and whether a checkpoint is due.

    Attributes:
        max_seconds: time limit from the object's creation; None for no limit.
        checkpoint_seconds: time between two checkpoints.
        reason: why to stop, empty while there is none.
        started, saved, asked: times of the creation, the last checkpoint and the last signal.
    """

    max_seconds: float | None = None
    checkpoint_seconds: float = 60.0
    reason: str = ""
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)

    def catch_sigterm(self) -> None:
        """Turn SIGTERM and SIGINT into a request to stop after the current step.

        A phase without steps finishes first. A signal that comes `PATIENCE` seconds after another
        one ends the process at once, as if nobody had caught it.
        """

        def remember(number: int, frame: FrameType | None) -> None:
            if self.reason and time.monotonic() - self.asked > PATIENCE:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self.asked = time.monotonic()
            self.reason = signal.Signals(number).name

        signal.signal(signal.SIGTERM, remember)
        signal.signal(signal.SIGINT, remember)

    def beside(self) -> "Stopper":
        """One for another training that stops when this one does, and has its own checkpoints."""
        return _Beside(checkpoint_seconds=self.checkpoint_seconds, other=self)

    def must_stop(self) -> bool:
        """Whether the job must end now; `reason` says why."""
        if self.max_seconds is not None and time.monotonic() - self.started > self.max_seconds:
            self.reason = self.reason or f"time limit of {self.max_seconds / 60:g} minutes"
        return bool(self.reason)

    def checkpoint_due(self) -> bool:
        """Whether `checkpoint_seconds` have passed since the last checkpoint."""
        return time.monotonic() - self.saved >= self.checkpoint_seconds

    def checkpoint_done(self) -> None:
        """Remember the time of a checkpoint."""
        self.saved = time.monotonic()


@dataclass
class _Beside(Stopper):
    """Stops when another stopper does.

    Attributes:
        other: that one.
    """

    other: Stopper = field(default_factory=Stopper)

    def must_stop(self) -> bool:
        """Whether the other one says so; `reason` says why."""
        stop, self.reason = self.other.must_stop(), self.other.reason
        return stop
