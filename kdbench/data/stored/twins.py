"""Twins: images of equal pixels, of any label, within a data set.

Encoded images are twins where their files are equal: other files of the same pixels would have to
be decoded to be found.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.files import write_meta
from kdbench.data.stored.fingerprint import Digests, Index
from kdbench.data.stored.open import Stored, open_data
from kdbench.store.prepared import read_meta

TRAIN = "train"
TWINS = "twins"  # key of meta.json


def groups(digests: Digests) -> Index:
    """A number for every image, (N,), the same for twins and for no others.

    Args:
        digests: (N, 32) SHA-256 of each image, see `StoredData.digests`.
    """
    _, numbers = np.unique(_keys(digests), return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def without_twins(digests: Digests, others: Digests) -> Index:
    """Sorted positions of the images that have no twin among some others.

    Args:
        digests: (N, 32) of the images.
        others: (M, 32) of the others.
    """
    return np.flatnonzero(~_among(digests, others))


def count_twins(data: Stored) -> dict[str, int]:
    """By split, the images that also stand in the training split; of that, its second copies."""
    train = data.digests(TRAIN)
    counts = {TRAIN: len(train) - len(np.unique(_keys(train)))}
    for split in data.splits:
        if split != TRAIN:
            counts[split] = int(_among(data.digests(split), train).sum())
    return counts


def known_twins(data: Stored) -> dict[str, int]:
    """What `count_twins` gave when the data were prepared; counted now where nobody did."""
    counts = read_meta(data.folder).get(TWINS)
    if not isinstance(counts, dict) or not set(data.splits) <= set(counts):
        return count_twins(data)
    return {split: counts[split] for split in data.splits}


def note_twins(folder: Path) -> dict[str, int]:
    """Count the twins of a prepared data set and keep the counts in its description."""
    counts = count_twins(open_data(folder))
    write_meta(folder, {**read_meta(folder), TWINS: counts})
    return counts


def in_words(counts: Mapping[str, int], images: Mapping[str, int]) -> str:
    """One line about the twins of a data set.

    Args:
        counts: see `count_twins`.
        images: number of images by split.
    """
    parts = [
        f"{count:,} of {images[split]:,} {split} images also stand in the training split"
        for split, count in counts.items()
        if split != TRAIN and count
    ]
    if counts[TRAIN]:
        parts.append(f"{counts[TRAIN]:,} of {images[TRAIN]:,} training images are second copies")
    return "; ".join(parts) or "no image stands in the training split twice, or there and elsewhere"


def other_copies(data: Stored) -> str:
    """One line about equal images besides those that `in_words` tells, or nothing.

    That is within and across the splits other than the training split; counted now.
    """
    others = sorted((s for s in data.splits if s != TRAIN), key="test".__eq__)  # "test" last
    digests = {split: data.digests(split) for split in others}
    parts = []
    for number, split in enumerate(others):
        own = digests[split]
        second = len(own) - len(np.unique(_keys(own)))
        parts += [f"{second:,} of {len(own):,} {split} images are second copies"] if second else []
        for other in others[:number]:
            shared = int(_among(own, digests[other]).sum())
            if shared:
                parts.append(f"{shared:,} of {len(own):,} {split} images also stand in {other}")
    return "; ".join(parts)


def _keys(digests: Digests) -> NDArray[np.void]:
    """(N,) values of 32 bytes, which can be sorted and compared."""
    return np.ascontiguousarray(digests).view("V32").reshape(-1)


def _among(digests: Digests, others: Digests) -> NDArray[np.bool_]:
    """Whether each image has a twin among others."""
    known = np.unique(_keys(others))
    keys = _keys(digests)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[places] == keys)
