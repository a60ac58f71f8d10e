"""How a teacher made elsewhere looks at images: its own constants, size and crop."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdbench.errors import BadValue, DamagedData
from kdbench.store.atomic import write_json

VIEW = "view.json"  # among the artifacts of a teacher that has one
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")


@dataclass(frozen=True)
class Shape:
    """What a network must know of its images: a name per class, and (C, H, W)."""

    classes: Sequence[str]
    image: tuple[int, int, int]


@dataclass(frozen=True)
class View:
    """What a network does to images before it looks at them.

    Attributes:
        mean, std: per channel in 0..1, with which it wants them normalised; empty for those of
            the protocol.
        resize: pixels of a side to which square images are scaled first; None leaves them.
        crop: pixels of a side of the middle that it then sees; None for all.
        interpolation: of the scaling.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"

    def image(self, image: Sequence[int]) -> tuple[int, int, int]:
        """(C, H, W) of what the network sees of images of that size.

        Raises:
            BadValue: the crop is larger than the image, or images are not square.
        """
        channels, height, width = image
        if self.resize is None and self.crop is None:
            return channels, height, width
        if height != width:
            raise BadValue("the teacher's view", f"{height} x {width} images", "square images")
        size = self.resize or height
        if (self.crop or size) > size:
            raise BadValue("--crop", self.crop, f"at most {size}, the side of the scaled image")
        return channels, self.crop or size, self.crop or size

    def as_dict(self) -> dict[str, Any]:
        """What differs from a view of the protocol's; empty where nothing does."""
        return {key: value for key, value in asdict(self).items() if value != getattr(View, key)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "View":
        """The view of `as_dict`, also read from JSON."""
        fields: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in content.items()
        }
        return cls(**fields)

    def save(self, folder: Path) -> None:
        """Write it to a folder of artifacts, if there is anything to say."""
        if self.as_dict():
            write_json(folder / VIEW, self.as_dict())

    @classmethod
    def load(cls, folder: Path) -> "View":
        """Read it from a folder of artifacts, most of which have none.

        Raises:
            DamagedData: it cannot be read.
        """
        file = folder / VIEW
        try:
            content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
            return cls.from_dict(content)
        except (ValueError, TypeError, AttributeError) as error:
            advice = "delete its folder; the next run pulls or rebuilds it"
            raise DamagedData(file, f"{error}", "a teacher's view", advice) from None


def look(network: nn.Module, view: View, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Have a network see images as it wants them, whoever calls it and whatever else they see.

    Args:
        network: takes images (B, C, H, W) as its first argument; with `after`, it takes a map,
            which stays as it is.
        view: what it wants.
        mean: with which the images that will come are normalised.
        std: the same.

    Returns:
        The network itself.
    """
    if not view.as_dict():
        return network
    own = (view.mean or tuple(mean), view.std or tuple(std))
    scale = torch.tensor(std, dtype=torch.float64) / torch.tensor(own[1], dtype=torch.float64)
    given, wanted = torch.tensor([*mean]).double(), torch.tensor([*own[0]]).double()
    shift = (given - wanted) / torch.tensor(own[1], dtype=torch.float64)

    placed: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def before(_: nn.Module, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if options.get("after") is not None:
            return words, options
        kind = words[0].device, words[0].dtype
        if kind[0].type != "cuda":  # nothing is kept of a pass on tensors without values
            return (_seen(words[0], view, scale.to(*kind), shift.to(*kind)), *words[1:]), options
        if kind not in placed:  # once: a copy would stop the GPU's queue in every step
            with torch.inference_mode(False):
                placed[kind] = scale.to(*kind), shift.to(*kind)
        return (_seen(words[0], view, *placed[kind]), *words[1:]), options

    network.register_forward_pre_hook(before, with_kwargs=True)
    return network


def _seen(images: Tensor, view: View, scale: Tensor, shift: Tensor) -> Tensor:
    """Images as the network sees them."""
    if view.mean or view.std:
        images = images * scale[:, None, None] + shift[:, None, None]
    if view.resize is not None and view.resize != images.shape[-1]:
        smooth = view.interpolation != "nearest"
        options: dict[str, Any] = {"antialias": True, "align_corners": False} if smooth else {}
        images = interpolate(images, (view.resize,) * 2, mode=view.interpolation, **options)
    if view.crop is not None:
        start = (images.shape[-1] - view.crop) // 2
        images = images[..., start : start + view.crop, start : start + view.crop]
    return images
