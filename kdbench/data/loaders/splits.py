"""Which training images are fitted, which are held out, and fixed shares of them."""

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import BadValue

Index = NDArray[np.int64]


def held_out(n: int, share: float, seed: int) -> tuple[Index, Index]:
    """Split the positions 0..n-1 at random into those to fit and those a search may look at.

    Args:
        n: number of training images.
        share: of them to hold out, between 0 and 1.
        seed: of numpy's legacy generator, whose stream is promised never to change.

    Returns:
        (fit, held), both sorted, disjoint and together complete.

    Raises:
        BadValue: a share that leaves one of them empty.
    """
    count = round(n * share)
    if not 0 < count < n:
        raise BadValue("held-out share", share, f"one that splits {n} images in two")
    order = np.random.RandomState(seed).permutation(n).astype(np.int64)
    return np.sort(order[count:]), np.sort(order[:count])


def take_share(labels: Index, share: float) -> Index:
    """Positions of a fixed share of every class, the same for every run.

    Prepared images are sorted by hash within a class, so the first ones are a random choice.

    Args:
        labels: (N,) labels of a prepared split.
        share: above 0 and at most 1; every class keeps at least one image.

    Returns:
        Sorted positions.

    Raises:
        BadValue: a share out of range.
    """
    if not 0 < share <= 1:
        raise BadValue("share of the images", share, "a number above 0 and at most 1")
    places = (np.flatnonzero(labels == label) for label in np.unique(labels))
    shares = [place[: max(1, round(share * len(place)))] for place in places]
    return np.sort(np.concatenate(shares)).astype(np.int64)
