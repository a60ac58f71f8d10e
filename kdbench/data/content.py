"""What a data set is: sorted images and labels, their fingerprint, their statistics."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.uint8]  # (N, H, W, C)
Labels: TypeAlias = NDArray[np.int64]  # (N,)
Split: TypeAlias = tuple[Images, Labels]


def in_order(images: Images, labels: Labels) -> Split:
    """Sort by (label, SHA-256 of the pixels), which no source can influence."""
    labels = np.asarray(labels, dtype=np.int64)
    keys = [(label, sha256(image).digest()) for label, image in zip(labels, images, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return images[order], labels[order]


def fingerprint(classes: Sequence[str], splits: Mapping[str, Split]) -> str:
    """Hex SHA-256 of class names and, per split in order of name, shape, labels and pixels."""
    digest = sha256(json.dumps(list(classes)).encode())
    for split, (images, labels) in sorted(splits.items()):
        digest.update(json.dumps([split, list(images.shape)]).encode())
        digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def channel_statistics(images: Images, block: int = 4096) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, in 0..1, from exact histograms."""
    histograms = np.zeros((images.shape[-1], 256))
    for start in range(0, len(images), block):
        part = images[start : start + block]
        for channel, counts in enumerate(histograms):
            counts += np.bincount(part[..., channel].ravel(), minlength=256)
    values, pixels = np.arange(256) / 255, histograms[0].sum()
    means = histograms @ values / pixels
    squares = [h @ (values - mean) ** 2 for h, mean in zip(histograms, means, strict=True)]
    return means.tolist(), np.sqrt(np.array(squares) / pixels).tolist()
