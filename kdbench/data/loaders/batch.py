"""What a loader hands to a training step."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Some images of one split, ready for a network.

    Attributes:
        images: (B, C, H, W) float32, normalised.
        labels: what is to be learned: (B,) int64 classes; of images with maps (B, H, W), int64
            classes or float32 metres.
        index: (B,) int64, the images' positions in the prepared split.
    """

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
