"""Networks that give an output for every pixel."""

from abc import ABC
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.errors import UserError
from kdbench.models.segments import Segment
from kdbench.models.stages import Features, StagedNetwork


class DenseNetwork(StagedNetwork, ABC):
    """A staged network whose classifier looks at every place of the last map.

    Its logits (B, outputs, H, W) are interpolated to the size of the images. The pooled vector is
    the mean of the map that the classifier sees. In training an auxiliary head may look at the map
    of an earlier stage; its logits are `Features.auxiliary`, at the same size.

    Args:
        segments: see `StagedNetwork`.
        width: channels of the map that the classifier sees.
        classes: outputs per pixel.
        image: (C, H, W) for which `stages` states sizes. Passes accept other sizes too.
        neck: module between the last stage and the classifier, if any.
        auxiliary: from the map of stage `auxiliary_stage` to logits at its size, if any.
        auxiliary_stage: see `auxiliary`.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        width: int,
        *,
        classes: int,
        image: Sequence[int],
        neck: nn.Module | None = None,
        auxiliary: nn.Module | None = None,
        auxiliary_stage: int = 0,
    ) -> None:
        super().__init__(segments, width, classes=classes, image=image, neck=neck)
        self.auxiliary = auxiliary
        self.auxiliary_stage = auxiliary_stage

    def encoder_state(self) -> dict[str, Tensor]:
        """The part of the `state_dict` that may start from weights of ImageNet: here none."""
        return {}

    def forward(
        self,
        x: Tensor,
        *,
        read: bool = False,
        after: int | None = None,
        raw: bool = False,
        until: int | None = None,
    ) -> Tensor | Features:
        """See `StagedNetwork.forward`.

        Raises:
            UserError: `after`: from the middle, the size of the images is not known.
        """
        if after is not None:
            name = type(self).__name__
            raise UserError(f"{name}: a dense network cannot go on from a map in the middle")
        size = (x.shape[2], x.shape[3])
        result = super().forward(x, read=read, until=until)
        if isinstance(result, Tensor):
            return enlarge(result, size)
        if until is not None:
            return result
        result.logits = enlarge(result.logits, size)
        if self.training and self.auxiliary is not None:
            result.auxiliary = enlarge(self.auxiliary(result.post[self.auxiliary_stage]), size)
        return result

    def head(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled vector (B, D), and logits (B, outputs, h, w) at the last map's size."""
        seen = self.neck(x)
        return seen.mean((2, 3)), per_place(self.classifier, seen)


def per_place(classifier: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer at every place: (B, D, H, W) -> (B, outputs, H, W)."""
    return F.conv2d(x, classifier.weight[:, :, None, None], classifier.bias)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, *size), bilinear, corner to corner as in PSPNet's and IFVD's code."""
    if x.shape[2:] == size:
        return x
    options: dict[str, Any] = {"mode": "bilinear", "align_corners": True}
    return F.interpolate(x, size, **options)
