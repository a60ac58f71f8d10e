"""Panels in records: the same few images for all, shrunk, in the classes' colours."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from kdbench.data.stored.maps import Mapped, MappedSplit
from kdbench.engine.precision import Precision
from kdbench.exhibits.protocols import CAMVID
from kdbench.runs.panels import panels_of_data, panels_of_network
from kdbench.store.panels import as_png, colours

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 90, 160, 3), np.uint8)
MASKS = np.repeat(np.arange(7, dtype=np.uint8), 90 * 160).reshape(7, 90, 160) % 5
MASKS[:, :20] = 255
FLOAT32 = Precision("float32", False, torch.device("cpu"))


def prepared(task="segmentation", images=PIXELS, maps=MASKS):
    """A data set whose mask has one class per image, and a band that does not count."""
    return Mapped(
        name="x",
        classes=tuple("abcde"),
        fingerprint="",
        image=(3, 90, 160),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        stand_in=None,
        folder=Path(),
        _parts={"test": MappedSplit(images, maps, np.arange(len(images)))},
        task=task,
        parted=True,
    )


def picture(text):
    """A record's strip as an array (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(as_png(text))).convert("RGB"))


class Bands(nn.Module):
    """Takes the upper half for class 1 and the lower one for class 3."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        """Logits."""
        logits = torch.zeros(len(images), 5, *images.shape[2:])
        logits[:, 1, :45] = logits[:, 3, 45:] = 1
        return logits


def test_images_and_truth_are_of_evenly_spaced_test_images():
    """Halved, so that the longer side has at most 120 pixels; black does not count."""
    panels = panels_of_data(prepared())["panels"]
    image, truth = picture(panels["image"]), picture(panels["truth"])

    assert image.shape == truth.shape == (45, 3 * 80, 3)
    assert len(set(panels["of"])) == 3
    assert (truth[:10] == 0).all()
    for place, part in zip((1, 3, 5), np.split(truth, 3, axis=1), strict=True):
        assert (part[10:] == colours(5)[place % 5]).all()
    mean = PIXELS[1].reshape(45, 2, 80, 2, 3).mean((1, 3))
    assert abs(image[:, :80].astype(float) - mean).mean() < 16


def test_a_network_is_shown_on_the_same_images_in_the_same_colours():
    """Its mode is as before."""
    network, data = Bands().train(), prepared()
    panels = panels_of_network(network, data, CAMVID, FLOAT32)["panels"]
    guess = picture(panels["guess"])

    assert panels["of"] == panels_of_data(data)["panels"]["of"]
    assert (guess[:22] == colours(5)[1]).all()
    assert (guess[23:] == colours(5)[3]).all()
    assert network.training


def test_two_images_are_two_panels():
    """Small test splits have what they have."""
    panels = panels_of_data(prepared(images=PIXELS[:2], maps=MASKS[:2]))["panels"]

    assert len(panels["of"]) == 2
    assert picture(panels["image"]).shape == (45, 2 * 80, 3)


def test_nothing_is_shown_where_there_are_no_masks_or_no_test_images():
    """Training and choosing see no test image, here either."""
    data = prepared()

    assert panels_of_data(data.training_only()) == {}
    assert panels_of_data(prepared(task="depth")) == {}
    assert panels_of_network(Bands(), data.training_only(), CAMVID, FLOAT32) == {}
