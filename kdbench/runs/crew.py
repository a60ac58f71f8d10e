"""The ranks of the runs of one command: the first one leads, the others do what it says.

The first rank does all that a process alone does: locks, records, what a run needs first. Where it
comes to a training or a search it leaves the run's digest for the others, and all do it together.
Nothing is written by the others, and they say nothing.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
import torch.distributed as dist

from kdbench.console import fail
from kdbench.engine.joining import meet, patience, place_of
from kdbench.engine.peers import SILENCE, Peers, RankLost
from kdbench.engine.ranks import LostContact, Ranks, together
from kdbench.engine.synchronised_norms import SynchronisedNorms
from kdbench.errors import BadValue, TryAgain, UserError
from kdbench.models import recompute
from kdbench.runs.job import Job, PhaseResult
from kdbench.store.paths import CHECKPOINT
from kdbench.store.spec import RunSpec
from kdbench.store.student_runs import SearchRun, StudentRun
from kdbench.store.teacher_runs import TeacherRun

END = "end"  # the last order
POLL = 0.2  # seconds between two looks for an order
OUTCOME = 30.0  # seconds in which the first rank must have failed too where another one did
Phase = Callable[[Job[Any]], PhaseResult]
Shared = TeacherRun | SearchRun | StudentRun


class Crew:
    """The ranks of a command; one of a process alone by default.

    Attributes:
        ranks: this process's place.
        peers: the others; None for a process alone.
        blamed: the rank that is lost, if one is.
    """

    def __init__(self, ranks: Ranks | None = None, peers: Peers | None = None) -> None:
        self.ranks, self.peers = ranks or Ranks(), peers
        self.blamed: int | None = None
        self._orders = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the first rank, or alone."""
        return self.ranks.rank == 0

    def do(self, job: Job[Any], phase: Phase) -> PhaseResult:
        """A phase of the first rank's: with all ranks where it trains or searches, else alone.

        Raises:
            BadValue: see `check_number`.
            RankLost: another rank ended or hangs.
        """
        run = job.spec
        if not isinstance(run, Shared):
            return phase(job)
        resumed = (job.paths.artifacts(run) / CHECKPOINT).exists()
        note = check_number(run, self.ranks.size, resumed=resumed)
        if self.peers is None:
            result = phase(job)
        else:
            self._order(run.digest)
            result = self._outcome_told(lambda: self._together(job, phase))
        result.notes += [note] if note else []
        return result

    def follow(self, runs: Mapping[str, RunSpec], work: Callable[[RunSpec], Any]) -> None:
        """Do what the first rank says, until it says that nothing is left.

        Args:
            runs: that may be asked for, by digest.
            work: does the phase of one.

        Raises:
            RankLost: the first rank is gone.
            UserError: this rank alone could not do a run.
        """
        while (order := self._next_order()) != END:
            if order not in runs:
                raise UserError(
                    f"rank {self.ranks.rank}: run {order} is in rank 0's plan and not in this "
                    "one's; all ranks need the same params.yaml and code"
                )
            try:
                work(runs[order])
            except (TryAgain, LostContact):
                raise
            except UserError as error:
                self._require_failed(error)
        if self.peers is not None:
            self.peers.set(f"bye/{self.ranks.rank}", "1")

    def dismiss(self) -> None:
        """Tell the others that nothing is left to do."""
        if self.peers is None or not self.leads:
            return
        self._order(END)
        until = time.monotonic() + OUTCOME  # their store may be this process's
        others = range(1, self.ranks.size)
        while time.monotonic() < until and not all(self.peers.get(f"bye/{one}") for one in others):
            time.sleep(POLL)

    def together(self, job: Job[Any], phase: Phase) -> PhaseResult:
        """A phase that all ranks do, as one that is not the first does it."""
        return self._together(job, phase)

    def _together(self, job: Job[Any], phase: Phase) -> PhaseResult:
        self.ranks.seconds, begun = 0.0, time.perf_counter()
        with together(self.ranks), _norms(job.spec), self._plain_ends():
            result = phase(job)
        if (
            job.precision.device.type == "cpu"
        ):  # a GPU's exchange goes on while Python does not wait
            waited = self.ranks.seconds / max(time.perf_counter() - begun, 1e-9)
            result.cost["scaling_efficiency"] = round(1 - waited, 4)
        return result

    @contextmanager
    def _plain_ends(self) -> Iterator[None]:
        """Put into one line, for this rank and the others, why something went wrong."""
        assert self.peers is not None
        try:
            yield
        except LostContact as error:
            self.blamed, reason = self.peers.reason()
            self.peers.end_all(reason)
            raise RankLost(
                f"{reason}; all {self.ranks.size} ranks end, and the same command goes on from the "
                f"last checkpoint ({error})"
            ) from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            self.peers.say("it ran out of memory")
            raise UserError(f"rank {self.ranks.rank} ran out of memory: {_first(error)}") from error
        except UserError:
            raise
        except Exception as error:
            self.peers.say(f"{type(error).__name__}: {_first(error)}")
            raise

    def _order(self, text: str) -> None:
        assert self.peers is not None
        self._orders += 1
        self.peers.set(f"order/{self._orders}", text)

    def _next_order(self) -> str:
        """Wait for the first rank's next order, for as long as it lives."""
        assert self.peers is not None
        self._orders += 1
        seen, since = "", time.monotonic()
        while (order := self.peers.get(f"order/{self._orders}")) is None:
            beat = self.peers.get("beat/0") or ""
            if beat != seen:
                seen, since = beat, time.monotonic()
            if time.monotonic() - since > max(SILENCE, OUTCOME):
                raise RankLost("rank 0 is gone: killed, or its machine is lost")
            time.sleep(POLL)
        return order

    def _outcome_told(self, do: Callable[[], PhaseResult]) -> PhaseResult:
        """Tell the others whether a run failed here as well."""
        assert self.peers is not None
        try:
            return do()
        except UserError:
            with suppress(RankLost):
                self.peers.set(f"failed/{self._orders}", "1")
            raise

    def _require_failed(self, error: UserError) -> None:
        """Go on where the first rank failed in the same run; a rank alone must end, and say why.

        Raises:
            UserError: the first rank did not fail.
        """
        assert self.peers is not None
        until = time.monotonic() + SILENCE
        while time.monotonic() < until:
            if self.peers.get(f"failed/{self._orders}"):
                return
            time.sleep(POLL)
        self.peers.say(str(error))
        raise error


def check_number(run: Shared, size: int, *, resumed: bool) -> str:
    """What a record must say where a run is made by another number of ranks than it is planned for.

    Args:
        run: to be made.
        size: number of ranks that there are.
        resumed: whether it was begun before.

    Raises:
        BadValue: it would compute something else than what its digest names.
    """
    planned = run.runtime.ranks
    if size > 1 and run.runtime.synchronise_norms and recompute.wanted():
        expected = "unset: blocks that compute again do not ask the other ranks"
        raise BadValue("KDBENCH_RECOMPUTE", "1", expected, "or synchronise_norms: false")
    if planned == size:
        return ""
    setting = f"params.yaml, scales: {{{run.scale}: {{ranks: {size}}}}} plans for {size}"
    if planned == 1:
        raise BadValue(run.title, f"{size} ranks", "the one that it is planned for", setting)
    if not run.runtime.synchronise_norms and not resumed:
        expected = f"the {planned} ranks that it is planned for, whose batch norms see their images"
        start = f"torchrun --standalone --nproc-per-node {planned} --no-python kdbench run ..."
        raise BadValue(run.title, f"{size} ranks", expected, f"start it by {start}; {setting}")
    seen = "the whole batch" if run.runtime.synchronise_norms else "the images of a rank"
    return f"planned for {planned} ranks, made by {size} at its end; batch norms saw {seen}"


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[Crew]:
    """The crew that the environment says; a process alone where it says nothing.

    Where a rank is lost, this process prints one line, if it is the first that is left, and ends.

    Raises:
        UserError: the ranks did not meet, or see `place_of`.
    """
    place = place_of(environment)
    if place is None:
        yield Crew()
        return
    store = meet(place, patience(environment))
    peers = Peers(store, Ranks(place.rank, place.size))
    crew = Crew(peers.ranks, peers)
    try:
        yield crew
        crew.dismiss()
    except UserError as error:
        if not isinstance(error, TryAgain):
            crew.dismiss()
        _end(crew, error)
    except BaseException as error:
        peers.say(f"{type(error).__name__}: {_first(error)}")
        raise
    peers.close()
    dist.destroy_process_group()


def _end(crew: Crew, error: UserError) -> None:
    """Say why in one line, of all ranks once, and end at once: a broken group may wait for ever."""
    speaks = 1 if crew.blamed == 0 else 0
    if crew.ranks.rank == speaks or not isinstance(error, TryAgain):
        fail(error)
    os._exit(error.exit_code)


def _norms(run: Shared) -> AbstractContextManager[Any]:
    return SynchronisedNorms() if run.runtime.synchronise_norms else nullcontext()


def _first(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
