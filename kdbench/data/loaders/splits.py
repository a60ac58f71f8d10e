"""Which training images are fitted, which are held out, and fixed shares of them."""

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import BadValue

Index = NDArray[np.int64]


def held_out(groups: Index, share: float, seed: int) -> tuple[Index, Index]:
    """Split positions at random into those to fit and those a search may look at.

    Images of one group, which have equal pixels, are on one side. They are drawn one after the
    other; a group comes where its first image is drawn, and is passed over where it would be too
    many. So without twins this is a plain random choice.

    Args:
        groups: (n,) number of each training image's group, see `kdbench.data.stored.twins`.
        share: of the images to hold out, between 0 and 1.
        seed: of numpy's legacy generator, whose stream is promised never to change.

    Returns:
        (fit, held), both sorted, disjoint and together complete.

    Raises:
        BadValue: a share that leaves one of them empty.
    """
    n = len(groups)
    count = round(n * share)
    order = np.random.RandomState(seed).permutation(n)
    chosen = np.isin(groups, _first_groups(groups[order], count))
    if not 0 < chosen.sum() < n:
        raise BadValue("held-out share", share, f"one that splits {n} images in two")
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _first_groups(drawn: Index, count: int) -> Index:
    """The groups of at most `count` images in all, in the order in which they are drawn first."""
    names, first, sizes = np.unique(drawn, return_index=True, return_counts=True)
    order = np.argsort(first)
    if sizes.max() == 1:
        return names[order[:count]]
    taken, left = [], count
    for place in order:
        if sizes[place] <= left:
            taken.append(place)
            left -= sizes[place]
        if not left:
            break
    return names[taken]


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
