"""Nineteen small encoded images of all kinds that ImageNet has, and a loader over them."""

import io
from hashlib import sha256

import imagenet_layouts as tiny
import numpy as np
import torch
from PIL import Image

from kdbench.data.loaders.streaming import StreamingLoader

IMAGE, MEAN, STD = (3, 24, 24), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
COUNT = 19


def pictures():
    """Labels and files of 19 images, sorted as prepared data are: all kinds that ImageNet has."""
    rng = np.random.RandomState(0)
    kinds = [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("P", "PNG")]
    kinds += [("RGB", "JPEG")] * (COUNT - 4)
    rows = []
    for number, (mode, kind) in enumerate(kinds):
        size = (int(rng.randint(20, 60)), int(rng.randint(20, 60)))
        rows.append((number % 5, tiny.picture(rng, size, mode, kind)))
    return sorted(rows, key=lambda row: (row[0], sha256(row[1]).digest()))


ROWS = pictures()
LABELS = np.array([label for label, _ in ROWS], dtype=np.int64)


def loader(images, **changes):
    """A loader over 19 images in batches of 4 that decodes in this process."""
    options = {"image": IMAGE, "batch": 4, "augment": "rrc24-flip", "mean": MEAN, "std": STD}
    return StreamingLoader(images, LABELS, **{**options, "seed": 7, "workers": 0, **changes})


def pixels(position):
    """(3, H, W) uint8 of an image, as Pillow reads it."""
    image = Image.open(io.BytesIO(ROWS[position][1])).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
