"""PNG files without compression."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from kdbench.data.loaders.decoding import decode
from kdbench.data.stored.png import encode_png


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (64, 48), (200, 180)], ids=str)
def test_a_file_is_read_back_as_its_pixels(size):
    """By Pillow and by the loader's decoder; the largest takes several blocks."""
    pixels = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    file = encode_png(pixels)

    assert (np.array(Image.open(io.BytesIO(file))) == pixels).all()
    assert (decode(file, "here").permute(1, 2, 0).numpy() == pixels).all()


def test_a_file_is_the_same_on_every_machine():
    """No compressor has a part in it: these very bytes are for ever, as fingerprints are."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert zlib.crc32(encode_png(pixels)) == 2620791585
