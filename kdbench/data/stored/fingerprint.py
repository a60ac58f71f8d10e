"""What a data set is: sorted images and labels, their fingerprint, their statistics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.uint8]  # (N, H, W, C)
Labels: TypeAlias = NDArray[np.int64]  # (N,)
Index: TypeAlias = NDArray[np.int64]  # positions
Digests: TypeAlias = NDArray[np.uint8]  # (N, 32), a SHA-256 for each image
Split: TypeAlias = tuple[Images, Labels]

BLOCK = 1024  # images that are gathered, hashed or counted at a time, at most
BLOCK_BYTES = 1 << 28  # of large ones, as many as have so many bytes


def digests_of(images: Images) -> Digests:
    """SHA-256 of each image's pixels; a part of the images is in memory at a time."""
    parts = (sha256(image.data).digest() for part in blocks(images) for image in part)
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, 32)


def order(images: Images, labels: Labels) -> Index:
    """Positions sorted by (label, SHA-256 of the pixels), which no source can influence."""
    keys = [
        (int(label), sha256(np.ascontiguousarray(image).data).digest())
        for label, image in zip(labels, images, strict=True)
    ]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def blocks(array: NDArray[Any], positions: Index | None = None) -> Iterator[NDArray[Any]]:
    """`array[positions]`, or all of it, in contiguous parts: never a second whole in memory."""
    each = array.nbytes // max(1, len(array))
    block = max(1, min(BLOCK, BLOCK_BYTES // max(1, each)))
    for start in range(0, len(array), block):
        part = slice(start, start + block)
        yield np.ascontiguousarray(array[part] if positions is None else array[positions[part]])


def fingerprint(
    classes: Sequence[str],
    splits: Mapping[str, Split],
    positions: Mapping[str, Index] | None = None,
) -> str:
    """Hex SHA-256 of class names and, per split in order of name, shape, labels and pixels.

    Args:
        classes: class names.
        splits: images and labels by split.
        positions: by split, their order where they do not lie in it, see `order`.
    """
    digest = sha256(json.dumps(list(classes)).encode())
    for split, (images, labels) in sorted(splits.items()):
        own = None if positions is None else positions[split]
        digest.update(json.dumps([split, list(images.shape)]).encode())
        for part in chain(blocks(np.asarray(labels, dtype="<i8"), own), blocks(images, own)):
            digest.update(part.data)
    return digest.hexdigest()


def channel_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, in 0..1, from exact histograms."""
    histograms = np.zeros((images.shape[-1], 256))
    for part in blocks(images):
        for channel, counts in enumerate(histograms):
            counts += np.bincount(part[..., channel].ravel(), minlength=256)
    values, pixels = np.arange(256) / 255, histograms[0].sum()
    means = histograms @ values / pixels
    squares = [h @ (values - mean) ** 2 for h, mean in zip(histograms, means, strict=True)]
    return means.tolist(), np.sqrt(np.array(squares) / pixels).tolist()
