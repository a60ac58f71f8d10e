"""Crops and flips against loops over pixels."""

import pytest
import torch

from kdbench.data.loaders.augment import NAMES, Augment, crop, flip
from kdbench.errors import BadValue, UnknownName


def pictures(batch=5, height=6, width=8):
    """Random bytes, none of them 0, so that a black border is told from the image."""
    rng = torch.Generator().manual_seed(0)
    shape = (batch, 3, height, width)
    return torch.randint(1, 256, shape, generator=rng, dtype=torch.uint8)


def slow_crop(images, offsets, pad, border):
    """One pixel at a time: what the padded image has at each place of the window."""
    result = torch.zeros_like(images)
    _, channels, height, width = images.shape
    for b in range(len(images)):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    row, column = y + offsets[0][b] - pad, x + offsets[1][b] - pad
                    if border == "reflect":
                        row = -row if row < 0 else row
                        row = 2 * (height - 1) - row if row >= height else row
                        column = -column if column < 0 else column
                        column = 2 * (width - 1) - column if column >= width else column
                    if 0 <= row < height and 0 <= column < width:
                        result[b, c, y, x] = images[b, c, row, column]
    return result


@pytest.mark.parametrize("border", ["zeros", "reflect"])
@pytest.mark.parametrize("pad", [1, 4])
def test_crop_is_a_window_of_the_padded_image(border, pad):
    """Every image has its own window, rows are rows and columns are columns."""
    images = pictures()
    offsets = torch.tensor([[0, 2 * pad, 1, pad, 2], [2 * pad, 0, 0, pad, 1]])

    augmented = crop(images, offsets, pad, border)

    assert augmented.dtype == torch.uint8
    assert torch.equal(augmented, slow_crop(images, offsets.tolist(), pad, border))
    assert torch.equal(augmented[3], images[3])


def test_random_crops_reach_every_offset_and_no_other():
    """With one pixel of shift there are nine windows, about equally frequent."""
    images = pictures(1).expand(900, -1, -1, -1)
    windows = [crop(images[:1], torch.tensor([[y], [x]]), 1)[0] for y in range(3) for x in range(3)]

    augmented = Augment(pad=1)(images, torch.Generator().manual_seed(0))

    counts = [sum(torch.equal(image, window) for image in augmented) for window in windows]
    assert sum(counts) == 900
    assert min(counts) > 60


def test_flip_mirrors_columns_of_the_chosen():
    """Left becomes right, up stays up, and the others stay as they are."""
    images = pictures(3)
    augmented = flip(images, torch.tensor([True, False, True]))

    for b, mirrored in enumerate([True, False, True]):
        for x in range(8):
            assert torch.equal(augmented[b, :, :, x], images[b, :, :, 7 - x if mirrored else x])


def test_random_flips_are_fair():
    """About half of the images."""
    images = pictures(1).expand(1000, -1, -1, -1)
    augmented = Augment(flip=True)(images, torch.Generator().manual_seed(0))

    mirrored = sum(not torch.equal(image, images[0]) for image in augmented)
    assert 430 < mirrored < 570


def test_the_generator_is_the_only_source_of_randomness():
    """The same generator gives the same images, whatever else was drawn."""
    images, augment = pictures(50), Augment.parse("crop4-flip")
    one = augment(images, torch.Generator().manual_seed(1))
    torch.rand(3)
    same = augment(images, torch.Generator().manual_seed(1))
    other = augment(images, torch.Generator().manual_seed(2))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("none", Augment()),
        ("flip", Augment(flip=True)),
        ("crop1", Augment(pad=1)),
        ("crop4-flip", Augment(pad=4, flip=True)),
        ("reflect4-flip", Augment(pad=4, border="reflect", flip=True)),
        ("reflect12", Augment(pad=12, border="reflect")),
    ],
)
def test_names_are_understood(text, meant):
    """A name says pad, border and flip."""
    assert Augment.parse(text) == meant


@pytest.mark.parametrize(
    "text", ["", "crop", "crop0", "-flip", "flip-crop4", "crop4flip", "cutout"]
)
def test_other_names_are_refused(text):
    """The error says where the name stands."""
    with pytest.raises(UnknownName, match=r"recipe\.augment"):
        Augment.parse(text, where="recipe.augment")


def test_the_names_that_errors_offer_are_understood():
    """Nobody is sent from one error to the next."""
    assert len({Augment.parse(name) for name in NAMES}) == len(NAMES)


def test_a_mirrored_border_must_be_narrower_than_the_image():
    """There is nothing to mirror beyond the other edge."""
    with pytest.raises(BadValue, match="6 x 8"):
        Augment(pad=6, border="reflect")(pictures(), torch.Generator())


def test_none_changes_nothing():
    """The very tensor comes back."""
    images = pictures()
    assert Augment.parse("none")(images, torch.Generator()) is images
