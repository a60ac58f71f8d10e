"""Panels in records: the same few images for all, shrunk, in colours of classes or depths."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from kdbench.data.loaders.joint import Joint
from kdbench.data.stored.maps import Mapped, MappedSplit
from kdbench.engine.precision import Precision
from kdbench.exhibits.protocols import CAMVID, NYUV2
from kdbench.runs.panel_colours import Palette, in_whole_image
from kdbench.runs.panels import panels_of_data, panels_of_network
from kdbench.store.panels import as_png, colours, shades

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 90, 160, 3), np.uint8)
MASKS = np.repeat(np.arange(7, dtype=np.uint8), 90 * 160).reshape(7, 90, 160) % 5
MASKS[:, :20] = 255
# From 0.82 m at the left to 4 m at the right; nothing is measured at the top.
DEPTHS = np.broadcast_to(np.linspace(4100, 20000, 160), (7, 90, 160)).astype(np.uint16)
DEPTHS[:, :20] = 0
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


def prepared_depths(maps=DEPTHS):
    """A data set of images whose depth grows from left to right."""
    return prepared("depth", maps=maps)


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


class Wall(nn.Module):
    """Gives every pixel one depth, in metres."""

    def __init__(self, depth):
        super().__init__()
        self.depth = nn.Parameter(torch.tensor(float(depth)))

    def forward(self, images):
        """Depths."""
        return self.depth * torch.ones(len(images), 1, *images.shape[2:])


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
    assert panels_of_data(prepared_depths().training_only()) == {}
    assert panels_of_network(Bands(), data.training_only(), CAMVID, FLOAT32) == {}


def test_true_depths_go_from_the_nearest_s_colour_to_the_farthest_s():
    """The ends are rounded outwards to tenths of a metre; what is not measured is black."""
    panels = panels_of_data(prepared_depths())["panels"]
    truth = picture(panels["truth"])

    assert panels["metres"] == [0.8, 4.0]
    assert truth.shape == (45, 3 * 80, 3)
    assert (truth[:10] == 0).all()
    assert (truth[10:, :80] == truth[10, :80]).all()
    assert tuple(truth[20, 0]) == shades()[0]
    assert tuple(truth[20, 79]) == shades()[-1]
    lightness = truth[20, :80].astype(float) @ [0.21, 0.72, 0.07]
    assert (np.diff(lightness) <= 0.01).all()


def test_a_network_s_depths_have_the_scale_of_the_true_ones():
    """Beyond an end they have its colour; a depth of 0 is a near one, not an absent one."""
    data, recipe = prepared_depths(), replace(NYUV2, view=None)
    middle = shades()[len(shades()) // 2]
    for depth, colour in ((0, shades()[0]), (2.41, middle), (50, shades()[-1])):
        panels = panels_of_network(Wall(depth), data, recipe, FLOAT32)["panels"]
        assert panels["metres"] == [0.8, 4.0]
        assert panels["of"] == panels_of_data(data)["panels"]["of"]
        assert (picture(panels["guess"]) == colour).all()


def test_what_lies_outside_of_the_view_is_black():
    """The guess lies in the part of the image that the network was shown."""
    recipe = replace(NYUV2, view="height45-centre35x60")
    panels = panels_of_network(Wall(50), prepared_depths(), recipe, FLOAT32)["panels"]
    first = picture(panels["guess"])[:, :80]

    inside = (first == shades()[-1]).all(2)
    rows, columns = inside.any(1), inside.any(0)
    assert (inside == rows[:, None] & columns).all()
    assert np.flatnonzero(rows)[[0, -1]].tolist() == [5, 39]
    assert np.flatnonzero(columns)[[0, -1]].tolist() == [10, 69]
    assert (first[~inside] == 0).all()


@pytest.mark.parametrize(
    "view", ["none", "height45", "centre40x60", "height45-centre35x60", "height120", "centre99x170"]
)
def test_a_map_put_back_into_its_image_lies_where_it_was(view):
    """A map that says which line it is of still does, to the spacing of the view's pixels."""
    data = prepared_depths()
    for axis in (0, 1):
        lines = np.arange((90, 160)[axis], dtype=np.float32)
        whole = np.broadcast_to(lines if axis else lines[:, None], (90, 160))
        image = torch.zeros(3, 90, 160, dtype=torch.uint8)
        a_map, rng = torch.from_numpy(whole.copy()), torch.Generator()
        _, seen = Joint.parse(view)(image, a_map, rng, depth=False, fill=0)
        back = in_whole_image(seen.numpy(), data, view)
        inside = np.isfinite(back)
        assert inside.any()
        assert inside.all() == ("centre" not in view or "99" in view)
        assert (np.abs(back - whole)[inside] <= 1).all()


@pytest.mark.parametrize(
    ("depth", "metres", "number"), [(2.0, (2.0, 2.1), 0), (np.nan, (0.0, 0.1), 64)]
)
def test_depths_that_are_all_alike_or_absent_have_a_scale_too(depth, metres, number):
    """Its ends never meet; what is not measured is black."""
    depths = np.full((2, 2), depth)
    palette = Palette.of(prepared_depths(), [depths])

    assert palette.metres == metres
    assert (palette.numbers(depths) == number).all()
