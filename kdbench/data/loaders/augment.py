"""Random crops and flips of whole batches, on the device that holds them."""

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdbench.data.loaders.random_resized_crop import random_resized_crop
from kdbench.errors import BadValue, UnknownName

Border = Literal["zeros", "reflect"]
NAMES = (
    "none",
    "flip",
    "crop4",
    "crop4-flip",
    "reflect4-flip",
    "resized-flip",  # a random resized crop and a flip
)  # examples of what is understood


@dataclass(frozen=True)
class Augment:
    """What happens to training images, before they are normalised.

    Attributes:
        pad: largest shift of the crop along each axis, in pixels; 0 for no crop.
        border: what a shifted image shows at its border: "zeros" is black, "reflect" the image
            mirrored without repeating its edge.
        flip: whether every second image, at random, is mirrored left to right.
        random_resized_crop: whether a random window, stretched to the image's size, takes the
            place of a shift.
    """

    pad: int = 0
    border: Border = "zeros"
    flip: bool = False
    random_resized_crop: bool = False

    @classmethod
    def parse(cls, text: str, where: str = "augment") -> "Augment":
        """Read "none", "flip", "crop4", "crop4-flip", "reflect4-flip", "resized-flip" and so on.

        Raises:
            UnknownName: anything else.
        """
        match = re.fullmatch(r"none|flip|(?:(crop|reflect)([1-9]\d?)|resized)(-flip)?", text)
        if match is None:
            raise UnknownName("augmentation", text, NAMES, where=where)
        border: Border = "reflect" if match[1] == "reflect" else "zeros"
        return cls(
            pad=int(match[2] or 0),
            border=border,
            flip=text.endswith("flip"),
            random_resized_crop=text.startswith("resized"),
        )

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Augmented (B, C, H, W) images, uint8 or float; `rng` is a CPU generator."""
        if self.random_resized_crop:
            images = random_resized_crop(images, rng)
        if self.pad:
            images = random_crop(images, self.pad, rng, self.border)
        return random_flip(images, rng) if self.flip else images


def random_crop(images: Tensor, pad: int, rng: torch.Generator, border: Border = "zeros") -> Tensor:
    """Shift each image by its own offsets of at most `pad` pixels.

    Args:
        images: (B, C, H, W) on any device; no pixel leaves it.
        pad: largest shift along each axis, in pixels.
        rng: CPU generator, the only source of randomness: all devices see the same draws.
        border: see `Augment`.

    Returns:
        (B, C, H, W).
    """
    offsets = torch.randint(2 * pad + 1, (2, len(images)), generator=rng)
    return crop(images, offsets.to(images.device), pad, border)


def crop(images: Tensor, offsets: Tensor, pad: int, border: Border = "zeros") -> Tensor:
    """Cut from each padded image the window whose top left corner is at its offset.

    Args:
        images: (B, C, H, W).
        offsets: (2, B) int64, rows then columns, from 0 to 2 pad; `pad` gives the image itself.
        pad: pixels added on every side.
        border: see `Augment`.

    Raises:
        BadValue: a mirrored border wider than the image.
    """
    batch, channels, height, width = images.shape
    padded = mirror(images, pad) if border == "reflect" else blacken(images, pad)
    rows = offsets[0, :, None] + torch.arange(height, device=images.device)  # (B, H)
    columns = offsets[1, :, None] + torch.arange(width, device=images.device)  # (B, W)
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    places = places.view(batch, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, places).view(images.shape)


def blacken(images: Tensor, pad: int) -> Tensor:
    """(B, C, H + 2 pad, W + 2 pad), zero around the images."""
    batch, channels, height, width = images.shape
    padded = images.new_zeros(batch, channels, height + 2 * pad, width + 2 * pad)
    padded[:, :, pad : pad + height, pad : pad + width] = images
    return padded


def mirror(images: Tensor, pad: int) -> Tensor:
    """(B, C, H + 2 pad, W + 2 pad), mirrored at the edge pixels, which are not repeated."""
    if pad >= min(images.shape[2:]):
        size = " x ".join(map(str, images.shape[2:]))
        raise BadValue("augment", f"reflect{pad}", f"a border narrower than a {size} image")
    places = [torch.arange(-pad, n + pad, device=images.device).abs() for n in images.shape[2:]]
    rows, columns = (
        torch.minimum(place, 2 * (n - 1) - place)
        for place, n in zip(places, images.shape[2:], strict=True)
    )
    return images[:, :, rows][:, :, :, columns]


def random_flip(images: Tensor, rng: torch.Generator) -> Tensor:
    """Mirror each (C, H, W) image left to right with probability 1/2; `rng` is on the CPU."""
    chosen = torch.randint(2, (len(images),), generator=rng).bool()
    return flip(images, chosen.to(images.device))


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror those of the (B, C, H, W) images that are `chosen`, (B,) bool."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
