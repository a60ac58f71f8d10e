"""scikit-learn's digits: 1,797 real 8 x 8 images that stand in for a data set at scale smoke."""

from pathlib import Path

import numpy as np

from kdbench.data.content import Split
from kdbench.data.dataset import write
from kdbench.errors import BadValue

BRIGHTEST = 16  # the digits' grey values go from 0 to 16


def prepare_stand_in(
    out: Path, *, name: str, split_seed: int, test_share: float, relabel: int
) -> str:
    """Write the digits to `out` in the place of the data set `name`.

    Different seeds give each data set a stand-in of its own. They feed numpy's legacy generator,
    whose stream is promised never to change.

    Args:
        out: the prepared folder, see `dataset.write`.
        name: the data set whose place they take.
        split_seed: draws which images are test images, the same share of every class.
        test_share: share of test images, between 0 and 1.
        relabel: draws which label each digit gets; the classes are called "digit 7".

    Returns:
        The fingerprint.

    Raises:
        BadValue: a share that leaves nothing to train or to test on.
        UserError: the disk is full.
    """
    if not 0 < test_share < 1:
        raise BadValue(f"{name}, smoke.test_share", test_share, "a share between 0 and 1")
    images, digits = load()
    new_label = np.random.RandomState(relabel).permutation(10)
    classes = [f"digit {digit}" for digit in np.argsort(new_label)]
    test = stratified(digits, test_share, split_seed)
    labels = new_label[digits].astype(np.int64)
    splits = {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])}
    return write(out, name, splits, classes, stand_in="digits")


def load() -> Split:
    """The digits as (1797, 8, 8, 3) uint8, grey repeated in three channels, and what they show."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    grey = np.rint(bundle.images * (255 / BRIGHTEST)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), bundle.target.astype(np.int64)


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) bool: a random `share` of every class, rounded to whole images, is True."""
    rng, chosen = np.random.RandomState(seed), np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(share * len(members))]] = True
    return chosen
