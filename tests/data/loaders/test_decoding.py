"""One image at a time, and how many processes decode."""

import io
import os

import numpy as np
import pytest
import torch
from encoded_images import COUNT, ROWS, loader, pixels
from PIL import Image

from kdbench.data.loaders import decoding
from kdbench.data.loaders.decoding import decode
from kdbench.data.loaders.streaming import default_workers
from kdbench.errors import BadValue


@pytest.mark.parametrize("position", range(COUNT))
def test_decoding_agrees_with_pillow(position):
    """To the bit, for grey, CMYK, palettes and whatever else is in a file called .JPEG."""
    decoded = decode(ROWS[position][1], "here")

    assert decoded.dtype == torch.uint8
    assert torch.equal(decoded, pixels(position))


def test_what_torchvision_does_not_decode_pillow_does(monkeypatch):
    """Sixteen bits a value, a refusal, or a torchvision that has no decoder any more."""
    deep = io.BytesIO()
    Image.fromarray(np.full((5, 6), 30000, np.uint16)).save(deep, "PNG")
    assert decode(deep.getvalue(), "here").unique().tolist() == [30000 // 256]

    def refuse(*_, **__):
        raise RuntimeError("unsupported")

    for other in (refuse, None):
        monkeypatch.setattr(decoding, "_torchvision", lambda other=other: other)
        assert all(torch.equal(decode(ROWS[i][1], "here"), pixels(i)) for i in range(COUNT))


@pytest.mark.parametrize(
    ("setting", "cores", "processes"),
    [("", 1, 0), ("", 4, 3), ("", 64, 8), ("0", 4, 0), ("12", 4, 12)],
)
def test_workers_are_as_many_as_the_cores_allow(monkeypatch, setting, cores, processes):
    """One core is left to the training; the environment has the last word."""
    monkeypatch.setenv("KDBENCH_WORKERS", setting)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)

    assert default_workers() == processes


@pytest.mark.parametrize("setting", ["two", "-1", "1.5"])
def test_a_wrong_number_of_workers_is_one_line(images, monkeypatch, layouts, setting):
    """It comes before anything is decoded."""
    monkeypatch.setenv("KDBENCH_WORKERS", setting)
    with pytest.raises(BadValue) as caught:
        loader(images, workers=None)
    layouts.one_line(caught, "KDBENCH_WORKERS", setting)
