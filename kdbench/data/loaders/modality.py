"""What a network sees of an image with a depth map: its colours, a few of its depths, or both."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdbench.errors import UnknownName
from kdbench.exhibits.tasks import NO_DEPTH

RGB = "rgb"
PATTERN = re.compile(r"(rgb)?(?:d([1-9]\d*))?")


@dataclass(frozen=True)
class Modality:
    """What is seen.

    Attributes:
        colours: whether the image is.
        samples: how many depths are, on average over images; 0 for none. They are one more
            channel, of metres, 0 at all other pixels.
    """

    colours: bool
    samples: int

    @classmethod
    def parse(cls, text: str, where: str = "modality") -> "Modality":
        """Read a name: "rgb", "d200" or "rgbd500", with the number of depths.

        >>> Modality.parse("rgbd500")
        Modality(colours=True, samples=500)

        Raises:
            UnknownName: anything else.
        """
        match = PATTERN.fullmatch(text)
        if match is None or not text:
            raise UnknownName("modality", text, (RGB, "d500", "rgbd500"), where=where)
        return cls(match[1] is not None, int(match[2] or 0))

    def channels(self, colours: int) -> int:
        """Channels that a network sees where the image has `colours`."""
        return (colours if self.colours else 0) + (self.samples > 0)

    def seen(self, images: Tensor, depths: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """What a network sees of a batch.

        Args:
            images: (B, C, H, W) normalised; what is seen lies where they do.
            depths: (B, H, W) metres on the CPU; what the images' classes are is not looked at.
            generators: one per image, on the CPU.

        Returns:
            (B, channels, H, W).
        """
        if not self.samples:
            return images
        each = zip(depths, generators, strict=True)
        sparse = torch.stack([sparse_depths(one, self.samples, rng) for one, rng in each])[:, None]
        sparse = sparse.to(images.device, images.dtype)
        if not self.colours:
            return sparse
        like = torch.channels_last if _channels_last(images) else torch.contiguous_format
        return torch.cat([images, sparse], dim=1).contiguous(memory_format=like)


def sparse_depths(depths: Tensor, samples: int, rng: torch.Generator) -> Tensor:
    """A random part of a depth map, 0 elsewhere.

    Every measured pixel is kept by a draw of its own, so that their number is `samples` on
    average: of 500 it is off by 22, as a rule. Pixels without a measurement are never kept.

    Args:
        depths: (H, W) metres, 0 where there is no measurement.
        samples: how many are kept on average.
        rng: CPU generator.

    Source: Ma and Karaman, Sparse-to-dense, ICRA 2018, section III-B, and its code.
    """
    measured = depths > NO_DEPTH
    share = samples / max(1, int(measured.sum()))
    drawn = torch.rand(depths.shape, generator=rng, dtype=torch.float64) < share
    return torch.where(measured & drawn, depths, torch.zeros_like(depths))


def _channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)
