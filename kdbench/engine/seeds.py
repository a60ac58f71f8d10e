"""One seed per run; everything random draws from a generator named after its purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import torch


def derive(seed: int, *names: str | int) -> int:
    """A seed for one purpose: the first 63 bits of a hash of the run's seed and the names.

    >>> derive(0, "init") == derive(0, "init"), derive(0, "init") == derive(1, "init")
    (True, False)
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Initialise modules inside from their own seed; the global generator is as before after it."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(derive(seed, *names))
        yield
