"""Whether decoding keeps up with the device, said after every epoch of a streaming loader."""

from collections.abc import Callable

from kdbench.data.loaders.streaming import WORKERS, StreamingLoader
from kdbench.engine.fit import Watch
from kdbench.runs.assemble import Loader

SLOW = 0.1  # share of an epoch spent waiting from which advice is given
SHORTEST = 10.0  # seconds; a shorter epoch waits for its workers to start


def watch(say: Callable[[str], None], title: str, loader: Loader, batch: int) -> Watch:
    """What prints images per second against what the device needs.

    Args:
        say: prints one line.
        title: of the run.
        loader: of its training; one whose images are in memory says nothing.
        batch: images per step.
    """

    def told(steps: int, seconds: float, waited: float) -> None:
        if isinstance(loader, StreamingLoader) and seconds >= SHORTEST:
            say(f"{title}: {in_words(steps * batch, seconds, waited)}")

    return told


def in_words(images: int, seconds: float, waited: float) -> str:
    """Images per second of an epoch, and how many its steps alone would take.

    The device works on while the process waits, so it needs at least what is said.

    >>> in_words(12_800, 20.0, 0.5)
    '640 images per second; the device needs 656 or more'
    >>> in_words(12_800, 20.0, 10.0).split("; ")[2].partition(":")[0]
    '50 % of the time was spent waiting for images'
    """
    rate, needed = images / seconds, images / max(seconds - waited, 1e-9)
    text = f"{rate:.0f} images per second; the device needs {needed:.0f} or more"
    if waited / seconds < SLOW:
        return text
    share = f"{100 * waited / seconds:.0f} % of the time"
    return f"{text}; {share} was spent waiting for images: raise {WORKERS}"
