"""What a rank knows of the others: who lives, how far each is, what each said before it ended.

Every rank leaves a note once a second, in the store by which the ranks found each other: how often
it did so, and how often it did something together with the others. So that of a rank that is gone
stays as it is; and one that hangs has done less together than those that wait for it. A rank whose
others have ended ends too, even where it hangs.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kdbench.engine.ranks import Ranks
from kdbench.errors import TryAgain

BEAT = 1.0  # seconds between two notes of a rank
SILENCE = 4.0  # seconds without a note after which a rank is gone
GRACE = 10.0  # seconds that a rank has to end by itself where the others have
STORE_GONE = "rank 0, or what started the ranks, is gone"


class RankLost(TryAgain):
    """A rank was killed, hangs or ended by itself; all others end, too."""


class Peers:
    """The other ranks, seen through the store.

    Args:
        store: as `kdbench.engine.joining.meet` returns it.
        ranks: this process's place among them.
    """

    def __init__(self, store: Any, ranks: Ranks) -> None:
        self.store, self.ranks = store, ranks
        self._closed = threading.Event()
        # A connection of its own: one that waits for a key keeps all others waiting.
        self._thread = threading.Thread(target=self._note, args=(store.clone(),), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave no more notes."""
        self._closed.set()
        self._thread.join(BEAT)

    def end_all(self, reason: str) -> None:
        """Have all ranks end, because of a rank that is lost."""
        with suppress(RankLost):
            self.set("ended", reason)

    def say(self, text: str) -> None:
        """Tell the others why this rank ends."""
        self._asked(lambda: self.store.set(f"said/{self.ranks.rank}", text))

    def get(self, key: str) -> str | None:
        """What is under a key; None as long as nothing is."""
        there = self._asked(lambda: self.store.check([key]))
        return self._asked(lambda: self.store.get(key)).decode() if there else None

    def set(self, key: str, text: str) -> None:
        """Put something under a key, for all ranks."""
        self._asked(lambda: self.store.set(key, text))

    def reason(self) -> tuple[int, str]:
        """The rank because of which something that all do failed, and why; takes some seconds."""
        try:
            return self._reason()
        except RankLost:
            return 0, STORE_GONE

    def _reason(self) -> tuple[int, str]:
        others = [rank for rank in range(self.ranks.size) if rank != self.ranks.rank]
        before = {rank: self._beat(rank) for rank in others}
        until = time.monotonic() + SILENCE
        while time.monotonic() < until:
            for rank in others:
                if said := self.get(f"said/{rank}"):
                    return rank, f"rank {rank} ended: {said}"
            time.sleep(BEAT / 4)
        after = {rank: self._beat(rank) for rank in others}
        for rank in others:
            if before[rank][0] == after[rank][0]:
                return rank, (
                    f"rank {rank} is gone: killed (by the kernel, where memory ran out), stopped, "
                    "or its machine is lost"
                )
        behind = min(others, key=lambda rank: after[rank][1])
        if after[behind][1] < self.ranks.calls:
            return behind, f"rank {behind} hangs: it lives, but the others waited for it in vain"
        return behind, f"the connection to rank {behind} broke, though it lives"

    def _beat(self, rank: int) -> tuple[int, int]:
        """How often a rank left a note, and did something with the others."""
        beats, calls = (self.get(f"beat/{rank}") or "0 0").split()
        return int(beats), int(calls)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RuntimeError as error:  # of PyTorch's kinds, all are
            raise RankLost(STORE_GONE) from error

    def _note(self, store: Any) -> None:
        beats, others_live = 0, True
        while others_live and not self._closed.is_set():
            beats += 1
            try:
                store.set(f"beat/{self.ranks.rank}", f"{beats} {self.ranks.calls}")
                others_live = not store.check(["ended"])
            except RuntimeError:  # the store is gone, and so is who holds it
                others_live = False
            self._closed.wait(BEAT)
        if not self._closed.wait(0 if others_live else GRACE):
            os._exit(RankLost.exit_code)
