"""Decoded pictures in the one form that all data have: eight bits for each of three channels."""

import numpy as np
from PIL import Image

from kdbench.data.stored.fingerprint import Images


def rgb_pixels(picture: Image.Image) -> Images:
    """The (H, W, 3) uint8 pixels of an opened picture, of whatever mode.

    Of sixteen bits the higher eight count, for grey as for colours. Pillow does so for colours
    alone: it cuts grey values at 255, which would leave nearly all of them white.
    """
    if picture.mode.startswith("I"):  # grey of sixteen bits; Pillow 10 and before called it "I"
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))
