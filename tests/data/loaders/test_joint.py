"""Images and maps are moved by the same draw, classes are not interpolated, depths shrink."""

import pytest
import torch

from kdbench.data.loaders.joint import Joint
from kdbench.errors import BadValue, UnknownName


def rng(seed=0):
    """A generator."""
    return torch.Generator().manual_seed(seed)


def corner(height=24, width=32):
    """An image and a mask that show one bright rectangle off the middle, on class 0."""
    image, mask = torch.zeros(3, height, width, dtype=torch.uint8), torch.zeros(height, width)
    image[:, 4:14, 6:20] = 250
    mask[4:14, 6:20] = 7
    return image, mask.to(torch.uint8)


def moved(name, pair, seed, **options):
    """What an augmentation makes of a pair."""
    settings = {"depth": False, "fill": 255, **options}
    return Joint.parse(name)(*pair, rng(seed), **settings)


NAMES = [
    "flip",
    "crop16x20",
    "crop40x40",
    "centre16x20",
    "height48",
    "scale0.7to2.1by0.1-crop20x20-flip",
    "height30-rotate5-scale1to1.5-centre20x24-flip",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_bright_pixels_are_those_of_the_class(name):
    """But for pixels at the rectangle's edge, which an image's interpolation blurs."""
    for seed in range(8):
        image, mask = moved(name, corner(), seed)
        bright, labelled = image[0] > 125, mask == 7
        wrong = (bright != labelled) & (mask != 255)
        assert wrong.sum() <= 0.25 * max(1, labelled.sum()), (name, seed)
        assert labelled.any() or not bright.any()


@pytest.mark.parametrize("name", NAMES)
def test_no_class_is_invented(name):
    """Interpolated masks would have values between 0 and 7."""
    for seed in range(8):
        assert set(moved(name, corner(), seed)[1].unique().tolist()) <= {0, 7, 255}


def test_what_lies_outside_the_image_has_no_class():
    """A crop larger than the image is filled up with pixels that do not count."""
    image, mask = moved("crop40x40", corner(), 0)

    assert (mask[24:] == 255).all()
    assert (mask[:, 32:] == 255).all()
    assert (image[:, 24:] == 0).all()


def test_depths_shrink_as_the_image_grows():
    """What looks twice as large is half as far away; zeros stay zeros."""
    image, depth = torch.zeros(3, 24, 32, dtype=torch.uint8), torch.full((24, 32), 4.0)
    depth[:, :8] = 0

    _, seen = moved("scale2to2-crop40x40", (image, depth), 0, depth=True, fill=0)

    assert set(seen.unique().tolist()) == {0.0, 2.0}
    assert (seen[seen > 0] == 2.0).all()


def test_a_mask_does_not_shrink():
    """Classes are no lengths."""
    _, mask = moved("scale2to2-crop48x64", corner(), 0)

    assert set(mask.unique().tolist()) == {0, 7}


def test_a_draw_decides_all():
    """The same generator gives the same pair, another one another pair; the global one rests."""
    name = "scale0.7to2.1by0.1-crop20x20-flip-jitter0.4"
    before = torch.get_rng_state()
    first, again, other = (moved(name, corner(), seed) for seed in (1, 1, 2))

    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert torch.equal(before, torch.get_rng_state())


def test_factors_go_in_the_declared_steps():
    """From the smallest to the largest, each of them met: 15 sizes from 0.7 to 2.1."""
    image, mask = torch.zeros(3, 100, 100, dtype=torch.uint8), torch.ones(100, 100)
    sizes = set()
    for seed in range(300):
        _, seen = moved("scale0.7to2.1by0.1-crop300x300", (image, mask), seed)
        sizes.add(int((seen[:, 0] == 1).sum()))

    assert sizes == {round(100 * (0.7 + 0.1 * k)) for k in range(15)}


def test_half_of_the_images_are_mirrored():
    """And the jitter leaves maps alone."""
    mirrored = sum(
        bool(moved("flip-jitter0.4", corner(), seed)[1][5, 24] == 7) for seed in range(400)
    )

    assert 160 < mirrored < 240


def test_what_comes_out_is_what_is_announced():
    """Before anything is drawn."""
    for name, size in (("none", (24, 32)), ("height12", (12, 16)), ("scale1to2-crop8x9", (8, 9))):
        assert Joint.parse(name).output(24, 32) == size
        assert tuple(moved(name, corner(), 0)[1].shape) == size


@pytest.mark.parametrize("name", ["", "crop4", "flip-crop8x8", "scale2", "rotate", "rrc224-flip"])
def test_other_names_are_refused(name):
    """With examples of what is understood."""
    with pytest.raises(UnknownName, match="joint augmentation"):
        Joint.parse(name)


def test_scaling_needs_a_crop_and_a_range():
    """Images of a batch have one size."""
    with pytest.raises(BadValue, match="images of one size"):
        Joint.parse("scale1to2").output(24, 32)
    with pytest.raises(BadValue, match="smallest factor"):
        Joint.parse("scale2to1-crop8x8")
