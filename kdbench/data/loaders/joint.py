"""What happens to an image and its map together: one draw moves both.

torchvision's functions do it, which know from its tensor types (`tv_tensors`) that an image is
interpolated and a map is not: a pixel between two classes has no class in between.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdbench.errors import BadValue, UnknownName

NUMBER = r"(\d+(?:\.\d+)?)"
# Every part in the order in which it is applied, which is the order in a name.
PARTS = (
    ("height", r"height(\d+)"),
    ("rotate", rf"rotate{NUMBER}"),
    ("scale", rf"scale{NUMBER}to{NUMBER}(?:by{NUMBER})?"),
    ("crop", r"crop(\d+)x(\d+)"),
    ("centre", r"centre(\d+)x(\d+)"),
    ("flip", r"flip"),
    ("jitter", rf"jitter{NUMBER}"),
)
EXAMPLES = (
    "none",
    "flip",
    "scale0.7to2.1by0.1-crop512x512-flip",
    "height250-rotate5-scale1to1.5-centre228x304-flip-jitter0.4",
)
Pair = tuple[Tensor, Tensor]  # image (3, H, W) uint8, map (H, W)


@dataclass(frozen=True)
class Joint:
    """A joint augmentation, or a fixed view of every image.

    Attributes:
        height: pixels to which images are scaled first, in proportion; 0 leaves them.
        rotate: largest angle in degrees, either way.
        scale: smallest and largest factor of the size, and the step between factors; 0 for any
            factor between the two.
        crop: (H, W) of a window at a random place; smaller images are filled up around.
        centre: (H, W) of a window in the middle.
        flip: whether every second image, at random, is mirrored left to right.
        jitter: how far brightness, contrast and saturation may go from 1, of the image alone.
    """

    height: int = 0
    rotate: float = 0.0
    scale: tuple[float, float, float] | None = None
    crop: tuple[int, int] | None = None
    centre: tuple[int, int] | None = None
    flip: bool = False
    jitter: float = 0.0

    @classmethod
    def parse(cls, text: str, where: str = "augment") -> "Joint":
        """Read a name: parts in their order, joined by "-"; see `EXAMPLES`.

        Raises:
            UnknownName: anything else.
            BadValue: a range of factors that is none.
        """
        whole = "".join(f"(?:-(?P<{name}>{part}))?" for name, part in PARTS)
        if text == "none":
            return cls()
        match = re.fullmatch(whole, f"-{text}")
        if match is None or not text:
            raise UnknownName("joint augmentation", text, EXAMPLES, where=where)
        values: dict[str, Any] = {}
        for name, part in PARTS:
            if match[name] is not None:
                details = re.fullmatch(part, match[name])
                values[name] = _value(name, details.groups() if details else ())
        low, high, _ = values.get("scale", (1.0, 1.0, 0.0))
        if not 0 < low <= high:
            raise BadValue(where, text, "a smallest factor above 0 and a largest one not below it")
        return cls(**values)

    def output(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) that comes out where (H, W) goes in.

        Raises:
            BadValue: it is not always the same, so that no batch can be made.
        """
        if self.crop or self.centre:
            return self.centre or self.crop or (0, 0)
        if self.scale:
            raise BadValue("augment", "scaling without a crop", "images of one size in a batch")
        if not self.height:
            return height, width
        return self.height, width * self.height // height

    def __call__(
        self, image: Tensor, a_map: Tensor, rng: torch.Generator, *, depth: bool, fill: int
    ) -> Pair:
        """Move an image and its map.

        Args:
            image: (3, H, W) uint8.
            a_map: (H, W), classes as integers or depths as floats.
            rng: CPU generator, the only source of randomness.
            depth: whether the map holds depths, which shrink as an image grows: what looks nearer
                is nearer.
            fill: value of pixels of the map that lie outside the image.

        Returns:
            The image, (3, h, w) uint8, and the map, (h, w).
        """
        from torchvision import tv_tensors  # its import takes seconds
        from torchvision.transforms.v2 import functional as F

        pair: Any = (tv_tensors.Image(image), tv_tensors.Mask(a_map))
        if self.height:
            pair = _both(F.resize, pair, self.output_of_height(image), antialias=True)
        if self.rotate:
            angle = (2 * _uniform(rng) - 1) * self.rotate
            bilinear = F.InterpolationMode.BILINEAR
            pair = (
                F.rotate(pair[0], angle, interpolation=bilinear),
                F.rotate(pair[1], angle, fill=fill),
            )
        if self.scale:
            pair = self._scaled(F, pair, rng, depth)
        if self.crop:
            pair = _crop(F, pair, self.crop, rng, fill)
        if self.centre:
            pair = _both(F.center_crop, pair, list(self.centre))
        if self.flip and _uniform(rng) < 0.5:
            pair = _both(F.horizontal_flip, pair)
        image, a_map = pair
        if self.jitter:
            image = _jitter(F, image, self.jitter, rng)
        return image.as_subclass(Tensor), a_map.as_subclass(Tensor)

    def output_of_height(self, image: Tensor) -> list[int]:
        """[H, W] of an image that is scaled to the height."""
        _, height, width = image.shape
        return [self.height, width * self.height // height]

    def _scaled(self, F: Any, pair: Any, rng: torch.Generator, depth: bool) -> Any:
        low, high, step = self.scale or (1.0, 1.0, 0.0)
        share = _uniform(rng)
        factor = low + (high - low) * share
        if step:
            factor = low + step * int(share * (round((high - low) / step) + 1))
        size = [round(side * factor) for side in pair[0].shape[1:]]
        image, a_map = _both(F.resize, pair, size, antialias=True)
        return image, type(a_map)(a_map / factor) if depth else a_map


def _value(name: str, groups: tuple[Any, ...]) -> Any:
    """What a part of a name stands for."""
    if name == "flip":
        return True
    if name in ("rotate", "jitter"):
        return float(groups[0])
    if name == "height":
        return int(groups[0])
    if name == "scale":
        return float(groups[0]), float(groups[1]), float(groups[2] or 0)
    return int(groups[0]), int(groups[1])


def _both(work: Callable[..., Any], pair: Any, *arguments: Any, **options: Any) -> Any:
    """The same to image and map; torchvision knows which is which."""
    return tuple(work(one, *arguments, **options) for one in pair)


def _crop(F: Any, pair: Any, size: tuple[int, int], rng: torch.Generator, fill: int) -> Any:
    """A window at a random place; what an image lacks is added right and below."""
    height, width = pair[0].shape[1:]
    missing = [max(0, size[1] - width), max(0, size[0] - height)]
    if any(missing):
        around = [0, 0, *missing]
        pair = F.pad(pair[0], around, fill=0), F.pad(pair[1], around, fill=fill)
    height, width = pair[0].shape[1:]
    top, left = (
        int(_uniform(rng) * (side - window + 1))
        for side, window in zip((height, width), size, strict=True)
    )
    return _both(F.crop, pair, top, left, *size)


def _jitter(F: Any, image: Any, most: float, rng: torch.Generator) -> Any:
    """Brightness, contrast and saturation, each by a factor from 1 - most to 1 + most."""
    changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)
    for place in torch.randperm(len(changes), generator=rng).tolist():
        image = changes[place](image, 1 + (2 * _uniform(rng) - 1) * most)
    return image


def _uniform(rng: torch.Generator) -> float:
    """A number from 0 to 1, without 1."""
    return float(torch.rand((), generator=rng, dtype=torch.float64))
