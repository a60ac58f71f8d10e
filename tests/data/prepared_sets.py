"""Small prepared data sets of random images, in both forms."""

from hashlib import sha256

import numpy as np

from kdbench.data.stored import arrays, shards

CLASSES = ["a", "b", "c"]
ABOUT = {"name": "toy", "image": [3, 8, 8], "mean": [0.1] * 3, "std": [0.2] * 3, "stand_in": None}


def pixel_splits(seed=0, n=12):
    """Random images of height 4 and width 5 in two splits."""
    rng = np.random.default_rng(seed)
    return {
        split: (rng.integers(0, 256, (n, 4, 5, 3), dtype=np.uint8), rng.integers(0, 3, n))
        for split in ("train", "test")
    }


def encoded_rows(seed=0, count=12, size=300):
    """Sorted labels and bytes of different lengths that nobody decodes."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 3, count).tolist()
    rows = [(label, rng.bytes(rng.randint(1, size))) for label in labels]
    return sorted(rows, key=lambda row: (row[0], sha256(row[1]).digest()))


ENCODED_SPLITS = {
    "train": encoded_rows(0),
    "test": encoded_rows(1, 7),
    "extra": encoded_rows(2, 5),
}


class Arrays:
    """A data set of pixels."""

    Data, verify, files = arrays.Prepared, arrays.verify, ("train_images.npy", "train_labels.npy")

    @staticmethod
    def write(folder, seed=0):
        """Prepare it in `folder`; its fingerprint."""
        return arrays.write(folder, "toy", pixel_splits(seed), CLASSES)

    @staticmethod
    def images(data, split):
        """Images of a split."""
        return data.images(split)


class Shards:
    """A data set of encoded images."""

    Data, verify, files = shards.Sharded, shards.verify, ("train-0000.arrow", "test_labels.npy")

    @staticmethod
    def write(folder, seed=0):
        """Prepare it in `folder`; its fingerprint."""
        splits = {s: encoded_rows(10 * seed + k) for k, s in enumerate(ENCODED_SPLITS)}
        return shards.write(folder, ABOUT, splits, CLASSES)

    @staticmethod
    def images(data, split):
        """Images of a split."""
        return data.encoded(split)


def change_byte(path, place, value=None):
    """Change a byte of a file in place."""
    raw = bytearray(path.read_bytes())
    raw[place] = raw[place] ^ 1 if value is None else value
    path.write_bytes(raw)
