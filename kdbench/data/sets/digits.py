"""scikit-learn's digits: 1,797 real 8 x 8 images that stand in for a data set at scale smoke."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.data.stored.arrays import write
from kdbench.data.stored.fingerprint import Split
from kdbench.errors import BadValue

BRIGHTEST = 16  # the digits' grey values go from 0 to 16


def prepare_stand_in(
    out: Path,
    *,
    name: str,
    split_seed: int,
    test_share: float,
    relabel: int,
    valid_share: float = 0.0,
) -> str:
    """Write the digits to `out` in the place of the data set `name`.

    Different seeds give each data set a stand-in of its own. They feed numpy's legacy generator,
    whose stream is promised never to change.

    Args:
        out: the prepared folder, see `arrays.write`.
        name: the data set whose place they take.
        split_seed: draws which images are test images, the same share of every class.
        test_share: share of test images, between 0 and 1.
        relabel: draws which label each digit gets; the classes are called "digit 7".
        valid_share: share of the images of a split "valid"; with 0 there is none.

    Returns:
        The fingerprint.

    Raises:
        BadValue: shares that leave nothing to train or to test on.
        UserError: the disk is full.
    """
    where = f"{name}, smoke"
    if not 0 < test_share < 1:
        raise BadValue(f"{where}.test_share", test_share, "a share between 0 and 1")
    if not 0 <= valid_share < 1 - test_share:
        expected = f"a share that leaves some of {1 - test_share:g} to train on"
        raise BadValue(f"{where}.valid_share", valid_share, expected)
    images, digits = load()
    new_label = np.random.RandomState(relabel).permutation(10)
    classes = [f"digit {digit}" for digit in np.argsort(new_label)]
    labels = new_label[digits].astype(np.int64)
    shares = {"test": test_share, **({"valid": valid_share} if valid_share else {})}
    splits = {
        split: (images[chosen], labels[chosen])
        for split, chosen in stratified(digits, shares, split_seed).items()
    }
    return write(out, name, splits, classes, stand_in="digits")


def load() -> Split:
    """The digits as (1797, 8, 8, 3) uint8, grey repeated in three channels, and what they show."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    grey = np.rint(bundle.images * (255 / BRIGHTEST)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), bundle.target.astype(np.int64)


def stratified(
    labels: NDArray[np.int64], shares: Mapping[str, float], seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Random shares of every class, each rounded to whole images; "train" is the rest.

    Returns:
        By split, (N,) bool: whether an image belongs to it.
    """
    rng = np.random.RandomState(seed)
    chosen = {split: np.zeros(len(labels), dtype=bool) for split in (*shares, "train")}
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum([round(share * len(members)) for share in shares.values()])
        for split, part in zip(chosen, np.split(members, ends), strict=True):
            chosen[split][part] = True
    return chosen
