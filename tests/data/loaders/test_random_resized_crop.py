"""Random resized crops against torchvision's, one image at a time."""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as official

from kdbench.data.loaders.augment import Augment
from kdbench.data.loaders.random_resized_crop import (
    RATIO,
    SCALE,
    draw_boxes,
    stretch,
)


def photographs(batch=6, height=32, width=32):
    """Images of noise, uint8."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (batch, 3, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (24, 40)])
def test_windows_are_stretched_as_torchvision_does(size):
    """Pixels differ by rounding at most, whatever the window."""
    images = photographs(64, *size)
    boxes = draw_boxes(64, *size, torch.Generator().manual_seed(2))
    stretched = stretch(images, boxes)
    for image, box, ours in zip(images, boxes.tolist(), stretched, strict=True):
        theirs = official.resized_crop(image, *box, size=list(size), antialias=True)
        assert (ours.int() - theirs.int()).abs().max() <= 1


def test_the_whole_image_stays_itself():
    """A window of everything changes no bit."""
    images = photographs()

    assert torch.equal(stretch(images, torch.tensor([[0, 0, 32, 32]] * 6)), images)


def test_windows_have_the_areas_and_shapes_of_torchvision_s():
    """Means and spreads of 4,000 draws agree within four standard errors."""
    ours = draw_boxes(4000, 32, 32, torch.Generator().manual_seed(3)).double()
    torch.manual_seed(4)
    crop, image = v2.RandomResizedCrop(32), photographs(1)[0]
    drawn = [crop.make_params([image]) for _ in range(4000)]
    theirs = torch.tensor([[d["top"], d["left"], d["height"], d["width"]] for d in drawn]).double()
    for features in (lambda b: b, lambda b: b**2, lambda b: (b[:, 2:3] * b[:, 3:4]).sqrt()):
        gap = (features(ours).mean(0) - features(theirs).mean(0)).abs()
        error = ((features(ours).var(0) + features(theirs).var(0)) / 4000).sqrt()
        assert (gap < 4 * error).all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (4, 32), (32, 4)])
def test_windows_lie_inside_and_keep_their_bounds(height, width):
    """Area and shape but for the rounding of sides, also in images so narrow that no try fits."""
    rng = torch.Generator().manual_seed(5)
    top, left, high, wide = draw_boxes(500, height, width, rng).unbind(1)

    assert (top >= 0).all() and (top + high <= height).all()
    assert (left >= 0).all() and (left + wide <= width).all()
    smallest, largest = (share * height * width for share in SCALE)
    assert ((high + 0.5) * (wide + 0.5) >= smallest).all()
    assert ((high - 0.5) * (wide - 0.5) <= largest).all()
    assert ((wide + 0.5) / (high - 0.5) >= RATIO[0]).all()
    assert ((wide - 0.5) / (high + 0.5) <= RATIO[1]).all()


def test_the_name_is_understood_and_draws_are_the_generator_s():
    """Equal seeds, equal images; flips come on top."""
    images, augment = photographs(), Augment.parse("resized-flip")
    first, second = (augment(images, torch.Generator().manual_seed(6)) for _ in range(2))

    assert augment.random_resized_crop and augment.flip and augment.pad == 0
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(7)))
    plain = Augment(random_resized_crop=True)(images, torch.Generator().manual_seed(6))
    assert not torch.equal(first, plain)
    assert first.dtype == torch.uint8
