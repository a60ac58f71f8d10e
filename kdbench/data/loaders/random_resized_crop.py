"""Random resized crops of whole batches, as torchvision draws them."""

import math

import torch
from torch import Tensor

SCALE = (0.08, 1.0)  # share of the image's area
RATIO = (3 / 4, 4 / 3)  # width over height
TRIES = 10


def draw_boxes(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """(B, 4) int64: top, left, height and width of each window.

    Ten tries of a random area and shape; where none fits, the largest window in the middle that
    keeps the bounds of the shape. As `torchvision.transforms.RandomResizedCrop`.

    Args:
        count: B.
        height: of the images, in pixels.
        width: the same.
        rng: CPU generator, the only source of randomness: all devices see the same draws.
    """
    shape = (count, TRIES)
    area = height * width * torch.empty(shape).uniform_(*SCALE, generator=rng)
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = torch.empty(shape).uniform_(low, high, generator=rng).exp()
    wide, high_ = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (wide > 0) & (wide <= width) & (high_ > 0) & (high_ <= height)
    first = torch.where(fits.any(1), fits.int().argmax(1), 0)
    images = torch.arange(count)
    wide, high_ = wide[images, first], high_[images, first]
    middle_high, middle_wide = _middle(height, width)
    fitted = fits.any(1)
    wide, high_ = wide.where(fitted, middle_wide), high_.where(fitted, middle_high)
    draws = torch.rand(2, count, generator=rng)
    top = (draws[0] * (height - high_ + 1)).long()
    left = (draws[1] * (width - wide + 1)).long()
    top = top.where(fitted, (height - high_) // 2)
    left = left.where(fitted, (width - wide) // 2)
    return torch.stack([top, left, high_, wide], 1)


def stretch(images: Tensor, boxes: Tensor) -> Tensor:
    """Resize windows of (B, C, H, W) images to H x W, bilinearly; uint8 is rounded.

    `boxes` are (B, 4) as `draw_boxes` gives them, on the images' device.

    Pixels outside a window never show. Windows are no larger than the image, so that nothing is
    shrunk and no filter against aliasing is needed.
    """
    rows = _between(boxes[:, 0], boxes[:, 2], images.shape[2])
    columns = _between(boxes[:, 1], boxes[:, 3], images.shape[3])
    stretched = _interpolate(_interpolate(images.float(), rows, 2), columns, 3)
    if images.dtype == torch.uint8:
        return stretched.round().to(torch.uint8)
    return stretched.to(images.dtype)


def _middle(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Height and width of the largest window that keeps the bounds of the shape."""
    ratio = width / height
    if ratio < RATIO[0]:
        high, wide = round(width / RATIO[0]), width
    elif ratio > RATIO[1]:
        high, wide = height, round(height * RATIO[1])
    else:
        high, wide = height, width
    return torch.tensor(high), torch.tensor(wide)


def _between(start: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `size` new pixels: the two old ones that it lies between, and how far."""
    place = (torch.arange(size, device=start.device) + 0.5) * length[:, None] / size - 0.5
    place = place.clamp_min(0).minimum(length[:, None] - 1.0)
    low = place.floor().long()
    high = (low + 1).minimum(length[:, None] - 1)
    return low + start[:, None], high + start[:, None], place - low


def _interpolate(images: Tensor, between: tuple[Tensor, Tensor, Tensor], axis: int) -> Tensor:
    """Pixels between pairs of others along an axis; `between` as `_between` gives it."""
    low, high, share = between
    shape = [len(images), 1, 1, 1]
    shape[axis] = -1
    wide = list(images.shape)
    first, second = (
        images.gather(axis, index.view(shape).expand(*wide[:axis], -1, *wide[axis + 1 :]))
        for index in (low, high)
    )
    return first + share.view(shape) * (second - first)
