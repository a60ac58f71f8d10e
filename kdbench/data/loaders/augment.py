"""Random crops and flips of whole batches, on the device that holds them."""

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdbench.data.loaders.random_resized_crop import draw_boxes, stretch
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

    def draw(self, count: int, size: tuple[int, int], rng: torch.Generator) -> Tensor:
        """All that is random about so many images.

        Args:
            count: B.
            size: (H, W) of the images.
            rng: CPU generator, the only source of randomness.

        Returns:
            (k, B) int64 on the CPU, what `apply` takes: a window's box (4 rows) where there is a
            random resized crop, offsets (2 rows, from 0 to 2 pad) where there is a shift, and
            which images are mirrored (1 row, 0 or 1) where there is a flip.
        """
        rows = []
        if self.random_resized_crop:
            rows.append(draw_boxes(count, *size, rng).T)
        if self.pad:
            rows.append(torch.randint(2 * self.pad + 1, (2, count), generator=rng))
        if self.flip:
            rows.append(torch.randint(2, (1, count), generator=rng))
        return torch.cat(rows) if rows else torch.empty(0, count, dtype=torch.int64)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Augmented (B, C, H, W) images, uint8 or float, by a (k, B) `draw` on their device.

        Raises:
            BadValue: a mirrored border wider than the image.
        """
        if self.random_resized_crop:
            boxes, drawn = drawn[:4], drawn[4:]
            images = stretch(images, boxes.T)
        if self.pad:
            offsets, drawn = drawn[:2], drawn[2:]
            images = crop(images, offsets, self.pad, self.border)
        return flip(images, drawn[0].bool()) if self.flip else images

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Draw for these images alone, and augment them; `rng` is a CPU generator."""
        drawn = self.draw(len(images), (images.shape[2], images.shape[3]), rng)
        return self.apply(images, drawn.to(images.device))


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


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror those of the (B, C, H, W) images that are `chosen`, (B,) bool."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
